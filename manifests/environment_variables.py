"""Environment variables that Assay reads."""

SUBMISSION_VARIABLE = "ASSAY_SUBMISSION"
"""The environment variable that tells a driver which submission it carries out."""

LEDGER_VARIABLE = "ASSAY_LEDGER"
"""The environment variable that says where the ledger is, unless a command is told otherwise."""

SUBMITTER_VARIABLE = "ASSAY_SUBMITTED_BY"
"""The environment variable that says who starts a run, as a label that everyone may read; else it is the user's name."""
