"""One design's analysis from samples to a family of comparisons: paired, unpaired, margins, segments."""
