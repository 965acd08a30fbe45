"""The pipeline's components: what each takes, what it leaves behind, and what it does.

A component never calls another; :mod:`tunesmith.pipeline` strings them together.
"""
