"""Records of the results of an analysis."""
