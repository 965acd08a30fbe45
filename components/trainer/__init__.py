"""Trainer: trains a network and exports it as a SavedModel."""
