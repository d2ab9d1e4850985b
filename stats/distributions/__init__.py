"""Null distributions that give p-values and critical values: max-T, Dunnett's, Tukey's; tests of proportions."""
