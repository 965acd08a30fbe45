"""The parent of a fine-tuned model, read from its SavedModel."""
