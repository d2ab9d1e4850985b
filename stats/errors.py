"""Errors about tables of scores; manifests/errors.py shows the whole tree."""

from assay.manifests.errors import InvalidInput


class SamplesError(InvalidInput):
    """Scores cannot be analysed as the plan requires."""
