"""The pipeline of components: the DAG, its runner, and the metadata store of its executions."""
