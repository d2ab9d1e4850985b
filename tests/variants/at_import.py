"""A variant that changes settings when it is imported in a worker: the driver imports it too, to check its arguments."""

import os
import sys

import numpy as np

if "assay-worker-" in os.environ.get("TMPDIR", ""):
    import torch

    torch.set_default_dtype(torch.float64)
    np.seterr(all="ignore")
    sys.setrecursionlimit(5_000)


def predict(features):
    """Answers."""
    return np.where(np.asarray(features["x"]) > 0.5, 0.9, 0.1)
