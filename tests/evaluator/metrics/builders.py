"""Label columns for the tests of this folder."""

from manifests import Column


def label(*classes: str) -> Column:
    """A label column of whole numbers, or of these class names."""
    return Column(name="label", role="label", type="string" if classes else "int64", classes=classes)
