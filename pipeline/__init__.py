"""What strings components together: the DAG, its runner, and the record of what ran."""
