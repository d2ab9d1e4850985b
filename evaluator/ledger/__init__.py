"""The ledger: append-only evidence, written by slots and the driver."""
