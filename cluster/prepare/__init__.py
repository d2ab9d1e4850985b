"""Reads and checks an experiment file and resolves every reference to a digest before any slot is requested."""
