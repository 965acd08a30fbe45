"""The mixture of a network with n-grams of the training songs and of the window."""
