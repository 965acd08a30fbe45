"""Generated code of the messages in this folder."""
