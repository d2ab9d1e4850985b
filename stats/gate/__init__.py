"""The gate: an analysis, a policy and other evidence into a decision for every arm."""
