"""Scores: one number a row, or one number for the whole dataset."""
