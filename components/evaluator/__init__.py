"""Evaluator: measures a model on held-out songs and says whether it may be served."""
