"""The gate: decisions about arms from an analysis, a policy and other evidence."""
