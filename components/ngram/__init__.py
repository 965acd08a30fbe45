"""N-grams of tokens: counted, smoothed, packed."""
