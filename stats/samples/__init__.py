"""Scores of all arms, from the ledger or from tables made elsewhere, and the rule for missing ones."""
