"""InfraValidator: serves the candidate with a serving engine and sends it requests."""
