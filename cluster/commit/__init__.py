"""Turns published units into a committed run: coverage, metrics, analysis, decisions, one commit record."""
