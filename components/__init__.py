"""The components of the pipeline: their inputs, parameters, artifacts and executors.

A component never calls another; :mod:`tunesmith.pipeline` connects them.
"""
