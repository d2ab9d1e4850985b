"""Where a run came from: environment, repository, lineage."""
