"""What can go wrong with a table of scores; the tree is drawn in manifests/errors.py."""

from assay.manifests.errors import InvalidInput


class SamplesError(InvalidInput):
    """Scores cannot be analysed as the plan asks."""
