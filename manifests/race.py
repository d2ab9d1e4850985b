"""Race: arms that are clearly worse are eliminated before they have scored every row."""

from pydantic import Field

from assay.manifests.base import Manifest


class Race(Manifest):
    """When arms are compared on the way, and how sure a drop must be.

    Units go in a seeded order that no data shape, so that those done are a sample of the dataset. After each wave an
    arm that another one beats by more than the margin is eliminated. The chance that the arm that is best on the whole
    dataset is ever eliminated is at most alpha, however many waves and arms there are: exactly for scores of 0 and 1, for
    others as long as no unit is much farther off than those before it. Sixty units or more make a race worth it.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The chance that the best arm is eliminated, over the whole race."""
    margin: float = Field(default=0.0, ge=0)
    """By how much an arm must be worse, in units of the primary metric."""
    first_units: int = Field(default=8, ge=2)
    """Units in the first wave."""
    growth: float = Field(default=1.5, ge=1)
    """How many times as many units are done after a wave as before it. Each wave loads every arm once more."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seeds the order of units."""
