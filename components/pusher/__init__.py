"""Pusher: publishes a blessed model under the next version number."""
