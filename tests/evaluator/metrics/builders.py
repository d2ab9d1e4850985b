"""Label columns and metrics for the tests of this folder."""

from assay.manifests import Column, Metric


def label(*classes: str) -> Column:
    """A label column of integers or, if class names are given, of these."""
    return Column(name="label", role="label", type="string" if classes else "int64", classes=classes)


def metric(measure: str, **parameters: object) -> Metric:
    """A metric of this measure."""
    return Metric.model_validate({"name": "m", "measure": measure, **parameters})
