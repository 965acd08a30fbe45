"""What was counted, in the training songs and in the window itself, mixed with a network."""
