"""Code shared by the Beam jobs of the pipeline."""
