"""GRU layers for training on a CPU and for export, shared by the networks made of them."""
