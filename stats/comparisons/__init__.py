"""Pairwise comparisons of arms: tests, bootstrap, randomisation, equivalence, the best arm's correction."""
