"""The append-only evidence: written by slots and driver, read by everyone."""
