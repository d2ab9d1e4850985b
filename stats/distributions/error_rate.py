"""Error rates: what alpha may be."""

from assay.manifests.errors import InvalidInput


def check_alpha(alpha: float) -> None:
    """Raises InvalidInput unless alpha is above 0 and below 1."""
    if not 0 < alpha < 1:
        raise InvalidInput("not an error rate", field="alpha", value=alpha, bound="above 0, below 1")
