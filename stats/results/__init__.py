"""Records of what an analysis found."""
