"""The encodings, each in a folder of its own behind one protocol."""
