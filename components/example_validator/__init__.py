"""ExampleValidator: finds what is wrong with the examples before training."""
