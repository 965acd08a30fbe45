"""InfraValidator: serves the candidate with the real engine and asks it."""
