"""Sequential decisions: made while scores are still arriving."""
