"""Which units are scored before arms are compared: all at once, or, in a race, wave after wave."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from assay.evaluator.batches import Unit
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests import Experiment
from assay.stats.sequential import racing

Receipts = Mapping[str, Mapping[int, UnitReceipt]]
"""Per arm, the receipt of every published unit by index."""


class Waves:
    """A single wave with every unit: no arm is eliminated."""

    def __init__(self, units: Sequence[Unit]) -> None:
        """Takes the dataset's units."""
        self._units = units
        self.is_last = True
        """Whether the current wave is the last one."""

    def __iter__(self) -> Iterator[Sequence[int]]:
        """Yields, per wave, the indices of all units that should be done after it, in the order to score them."""
        yield range(len(self._units))

    def eliminated(self, receipts: Receipts, arms: Sequence[str]) -> dict[str, str]:  # noqa: ARG002
        """The remaining arms that are eliminated after this wave, each with the reason."""
        return {}


class RaceWaves(Waves):
    """The waves of a race: units in a seeded random order, so that those done are a random sample of the dataset."""

    def __init__(self, experiment: Experiment, units: Sequence[Unit]) -> None:
        """Shuffles the units with the seed of `experiment.race`."""
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
        """The arms that the interim look shows not to be the best; never the control or its A/A arm.

        Arms with rows that have no answer are left out: the sums of their scores cannot be compared.
        """
        looked_at = self._order[: self._num_done]  # later units may be there already, if the run was resumed
        unanswered = {
            arm
            for arm, of_arm in receipts.items()
            if any(of_arm[unit].num_unanswered for unit in looked_at if unit in of_arm)
        }
        arms = [arm for arm in arms if arm not in unanswered]
        if self.is_last or len(arms) < 2:
            return {}
        # Earlier leaders are part of the evidence, so every arm that started stays in it, with the units that it has.
        raced = [arm for arm in receipts if arm not in unanswered]
        for arm in set(raced) - {*self._left_after, *arms}:  # failed in this wave: which of its units it did is chance
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
        # If only the control would be left, keep the arm closest to it, so that there is something to compare.
        if eliminated and not set(arms) - {*eliminated, *self._kept}:
            del eliminated[min(eliminated, key=lambda arm: eliminated[arm].shortfall)]
        self._left_after |= dict.fromkeys(eliminated, self._num_done)
        return {
            arm.arm: (
                f"eliminated from the race after {look.num_units} of {len(self._units)} units: {self._primary.name} is "
                f"{arm.mean:.6g}, {arm.shortfall:.6g} behind '{look.leader}'; on the whole dataset at least "
                f"{arm.shortfall_low:.6g} behind the best (p = {arm.p_value:.3g} over all looks together, "
                f"{look.guarantee})"
            )
            for arm in eliminated.values()
        }

    def _sum(self, receipts: Mapping[int, UnitReceipt], arm: str, position: int, unit: int) -> float:
        """The sum of a unit's scores; NaN where the arm was no longer in the race."""
        if position >= self._left_after.get(arm, len(self._units)):
            return float("nan")
        return receipts[unit].facts.score_sums[self._primary.name]


def waves_of(experiment: Experiment, units: Sequence[Unit]) -> Waves:
    """The waves of an experiment: those of its race, or a single one."""
    return Waves(units) if experiment.race is None else RaceWaves(experiment, units)
