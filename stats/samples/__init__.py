"""Scores of every arm on identical rows, from the ledger or from tables made elsewhere."""
