"""Errors of a run as a whole. The error tree is drawn in manifests/errors.py."""

from assay.manifests.errors import AssayError


class RunError(AssayError):
    """A run could not be finished. Published units are kept; the same command resumes from them."""


class StoppedError(RunError):
    """A run was stopped or exhausted its budget. Complete arms are committed and published units are kept."""


class NoAnswerError(RunError):
    """The cluster's head node does not answer at the moment; a later call may succeed."""
