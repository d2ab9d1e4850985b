"""What can go wrong with a run as a whole; the tree is drawn in manifests/errors.py."""

from assay.manifests.errors import AssayError


class RunError(AssayError):
    """A run could not be finished; what was published stays, and the same command goes on from there."""


class StoppedError(RunError):
    """A run was told to stop, or its budget is spent: what was whole is committed, and what was published stays."""


class NoAnswerError(RunError):
    """The head of a cluster does not answer now; it may later."""
