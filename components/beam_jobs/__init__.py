"""What every Beam job of the pipeline shares."""
