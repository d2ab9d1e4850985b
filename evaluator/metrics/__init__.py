"""Metrics: one score per row, or one number for the whole dataset."""
