"""Decides which slot scores which unit next, and handles retries, stops and progress. Knows nothing of Ray."""
