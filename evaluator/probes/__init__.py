"""Measurements on a loaded variant in addition to its scores: batch-size sensitivity and latency."""
