"""Environment variables that Assay reads."""

SUBMISSION_VARIABLE = "ASSAY_SUBMISSION"
"""The submission that a driver carries out; set by the client that submitted it."""

LEDGER_VARIABLE = "ASSAY_LEDGER"
"""The ledger's folder or URI; the option `--ledger` takes precedence."""

SUBMITTER_VARIABLE = "ASSAY_SUBMITTED_BY"
"""Who starts a run: a label that is recorded and that anyone with access can read. Default: the user's name."""
