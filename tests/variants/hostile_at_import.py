"""A variant that harms a worker that imports it, in the way that the name of its copy says."""

import os

if "assay-worker-" in os.environ.get("TMPDIR", ""):
    import hostile

    hostile.KINDS[__name__.removeprefix("imported_")]()


def predict(features):
    """Answers."""
    return features["x"]
