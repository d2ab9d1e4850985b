"""Checks of error rates."""

from assay.manifests.errors import InvalidInput


def check_alpha(alpha: float) -> None:
    """Raises InvalidInput unless 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise InvalidInput("alpha must be a probability", field="alpha", value=alpha, bound="above 0, below 1")
