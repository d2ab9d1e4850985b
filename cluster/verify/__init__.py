"""Scoring a committed run once more and comparing bit by bit."""
