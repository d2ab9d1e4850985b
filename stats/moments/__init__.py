"""Sums over rows, from which means, covariances and resampling replicates are computed."""
