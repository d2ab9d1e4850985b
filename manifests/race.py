"""Race: elimination of arms that are clearly worse before they have scored every row."""

from pydantic import Field

from assay.manifests.base import Manifest


class Race(Manifest):
    """When arms are compared during the run, and how certain an elimination must be.

    Units are scored in a random order, determined by the seed only, so that the units done so far are a random sample
    of the dataset. After each wave of units, every arm that is shown to be worse than another one by more than the
    margin is eliminated. The probability that the arm that is best on the whole dataset is ever eliminated is at most
    alpha, for any number of waves and arms. This bound is guaranteed for scores of 0 and 1. For other scores it holds
    if in no unit the arms differ more than twice as much as in any unit before. The control is never eliminated. A race pays off from about 60 units.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Largest probability that the best arm is eliminated, over the whole race. Default: 0.05."""
    margin: float = Field(default=0.0, ge=0)
    """How much worse than another arm an arm must be to be eliminated, in units of the primary metric. Default: 0."""
    first_units: int = Field(default=8, ge=2)
    """Number of units in the first wave. Default: 8."""
    growth: float = Field(default=1.5, ge=1)
    """Factor by which the number of units done grows with each wave. Default: 1.5. Each wave loads every remaining arm
    again, so raise it for variants that take long to load."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Random seed of the order of units. Default: 0."""
