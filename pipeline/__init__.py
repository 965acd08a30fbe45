"""What strings components together: the DAG, its runner, and the metadata store of what ran."""
