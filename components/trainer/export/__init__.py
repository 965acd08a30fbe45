"""The SavedModel that is served."""
