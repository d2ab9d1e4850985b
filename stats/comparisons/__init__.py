"""Pairwise comparisons of arms: tests, bootstrap, randomisation, equivalence, and the selection-corrected best arm."""
