"""Provenance: the environment, repository and lineage that a run came from."""
