"""The paper's network: three bidirectional GRU layers over a window of tokens."""
