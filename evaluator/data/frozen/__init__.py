"""Frozen datasets: how rows become shards and a manifest, and how they are read back."""
