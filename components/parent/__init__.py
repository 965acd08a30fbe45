"""The model that another one is tuned from, read back from its SavedModel."""
