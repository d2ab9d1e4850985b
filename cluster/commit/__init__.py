"""From published units to a committed run: coverage, metrics, samples, analysis, decisions, one commit record."""
