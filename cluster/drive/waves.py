"""Which units are done before arms are compared: all at once, or, in a race, wave after wave."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from assay.evaluator.batches import Unit
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests import Experiment
from assay.stats.sequential import racing

Receipts = Mapping[str, Mapping[int, UnitReceipt]]
"""Per arm, the receipt of every published unit by index."""


class Waves:
    """One wave with every unit: no arm is eliminated."""

    def __init__(self, units: Sequence[Unit]) -> None:
        """Takes the dataset's units."""
        self._units = units
        self.is_last = True
        """Whether the wave that is done now is the last one."""

    def __iter__(self) -> Iterator[Sequence[int]]:
        """The indices of the units that shall be done after each wave, in the order in which they are done."""
        yield range(len(self._units))

    def eliminated(self, receipts: Receipts, arms: Sequence[str]) -> dict[str, str]:  # noqa: ARG002
        """The arms, of those left, that the others beat so clearly that no further wave can help, and why."""
        return {}


class RaceWaves(Waves):
    """The waves of a race: units in a seeded order, so that those done are a sample of the dataset."""

    def __init__(self, experiment: Experiment, units: Sequence[Unit]) -> None:
        """Shuffles the units as `experiment.race` says."""
        super().__init__(units)
        assert experiment.race is not None
        self._race, self._primary = experiment.race, experiment.suite.primary
        self._kept = {experiment.suite.plan.control, experiment.aa_arm}
        self._order = np.random.default_rng(self._race.seed).permutation(len(units)).tolist()
        self._num_before = self._num_done = 0
        self._left_after: dict[str, int] = {}
        self.is_last = False

    def __iter__(self) -> Iterator[Sequence[int]]:
        for num_done in racing.waves(len(self._units), first=self._race.first_units, growth=self._race.growth):
            self._num_before, self._num_done = self._num_done, num_done
            self.is_last = num_done == len(self._units)
            yield self._order[:num_done]

    def eliminated(self, receipts: Receipts, arms: Sequence[str]) -> dict[str, str]:
        """The arms that are surely not the best; never the control, which the others are compared with, or its A/A arm."""
        if self.is_last or len(arms) < 2:
            return {}
        # Who has led is part of the evidence, so whoever started stays in it, for as many units as it had.
        raced = list(receipts)
        for arm in set(raced) - {*self._left_after, *arms}:  # failed in this wave: what it did of it is chance
            self._left_after[arm] = self._num_before
        units = self._order[: self._num_done]
        look = racing.race(
            [[self._sum(receipts[arm], arm, position, unit) for arm in raced] for position, unit in enumerate(units)],
            rows_U=[self._units[unit].num_rows for unit in units],
            arms=raced,
            dataset=racing.RacedDataset(
                num_units=len(self._units),
                num_rows=sum(unit.num_rows for unit in self._units),
                unit_rows=max(unit.num_rows for unit in self._units),
            ),
            rules=racing.RaceRules(
                direction=self._primary.direction,
                margin=self._race.margin,
                alpha=self._race.alpha,
                bounds=(0.0, 1.0) if self._primary.is_binary else None,
            ),
        )
        eliminated = {
            arm.arm: arm for arm in look.arms if arm.eliminated and arm.arm in arms and arm.arm not in self._kept
        }
        # Where the control leads, one stays to be compared with it.
        if eliminated and not set(arms) - {*eliminated, *self._kept}:
            del eliminated[min(eliminated, key=lambda arm: eliminated[arm].shortfall)]
        self._left_after |= dict.fromkeys(eliminated, self._num_done)
        return {
            arm.arm: (
                f"eliminated in the race after {look.num_units} of {len(self._units)} units: {self._primary.name} "
                f"{arm.mean:.6g}, behind '{look.leader}' by {arm.shortfall:.6g} and on the whole dataset behind the "
                f"best by at least {arm.shortfall_low:.6g} (sure at all looks together: p = {arm.p_value:.3g}, "
                f"{look.guarantee})"
            )
            for arm in eliminated.values()
        }

    def _sum(self, receipts: Mapping[int, UnitReceipt], arm: str, position: int, unit: int) -> float:
        """The sum of a unit's scores; NaN where the arm was no longer in the race."""
        if position >= self._left_after.get(arm, len(self._units)):
            return float("nan")
        return float(receipts[unit].facts["score_sums"][self._primary.name])


def waves_of(experiment: Experiment, units: Sequence[Unit]) -> Waves:
    """The waves that an experiment wants."""
    return Waves(units) if experiment.race is None else RaceWaves(experiment, units)
