"""Transform: counts the vocabulary and writes songs as tokens."""
