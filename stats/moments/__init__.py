"""Sums over rows from which means, variances and resampling replicates are made."""
