"""Reference values: the files in tests/golden, each with its source, and NIST's data sets."""

import json
from pathlib import Path

import numpy as np
import scipy

_FOLDER = Path(__file__).parent.parent / "golden"


def golden(name):
    """One file of reference values; its `source` says where they come from."""
    return json.loads((_FOLDER / f"{name}.json").read_text())


def nist_anova(name):
    """Groups and the certified F of a set of NIST StRD's analyses of variance, which scipy carries for its own tests.

    https://www.itl.nist.gov/div898/strd/anova/anova.html
    """
    folder = Path(scipy.__file__).parent / "stats/tests/data/nist_anova"
    lines = (folder / f"{name}.dat").read_text().splitlines()
    certified = next(line for line in lines if line.startswith("Between"))
    at, values = np.loadtxt(lines[60:], unpack=True)
    return [values[at == group] for group in np.unique(at)], float(certified.split()[-1])
