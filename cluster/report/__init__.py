"""Reports: gathers runs and datasets from their stores and renders them. Decides nothing."""
