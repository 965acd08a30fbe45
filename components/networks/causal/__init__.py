"""A causal network: GRU layers that run forward, learning from every frame of a window."""
