"""Distributions that tests read p-values and critical values from: max-T, Dunnett's, Tukey's, proportions."""
