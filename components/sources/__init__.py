"""Sources of songs."""
