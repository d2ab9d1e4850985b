"""Tests an arm of a race by betting against it: the gambler's stake on each unit, and the resulting fortune.

The stakes follow aGRAPA in Waudby-Smith & Ramdas (2024, Estimating means of bounded random variables by betting, J. R.
Stat. Soc. B 86:1); the expectation of the next unit given those drawn follows their 2020 paper (Confidence sequences
for sampling without replacement, NeurIPS 33).

Axes: U units in the order drawn, A arms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BEYOND_SEEN = 2.0
"""Without score bounds, a unit's lead is assumed to be at most this many times the largest |lead| before it."""
_HALVINGS = 14
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Duels:
    """Each remaining arm against the arm that led before each unit.

    Attributes:
        lead_UA: By how much the leader's sum over the unit exceeds the arm's.
        before_UA: The same, summed over all units before it.
        worst_UA: The most by which the arm's sum over a unit can exceed the leader's.
        stake_UA: The gambler's stake per unit of lead, as a share of the fortune, for the margin.
        rows_U: Number of rows in each unit.
        left_U: Number of units left when it was drawn, including itself.
        unit_rows: Number of rows in a full unit.
    """

    lead_UA: Floats
    before_UA: Floats
    worst_UA: Floats
    stake_UA: Floats
    rows_U: Floats
    left_U: Floats
    unit_rows: int

    def fortune(self, shortfall_A: Floats) -> Floats:
        """The largest fortune so far, starting from 1, in a bet against "no rival is better by more than this".

        It decreases in the shortfall (exactly so with known bounds), so the refuted shortfalls form an interval.
        """
        rows_before_U = np.cumsum(self.rows_U) - self.rows_U
        expected_UA = (shortfall_A * rows_before_U[:, None] - self.before_UA) / self.left_U[:, None]
        room_UA = expected_UA + self.worst_UA + shortfall_A * self.unit_rows
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            stake_UA = np.where(room_UA > 0, np.minimum(self.stake_UA, 1 / room_UA), 0)
            growth_UA = 1 + stake_UA * (self.lead_UA - shortfall_A * self.rows_U[:, None] - expected_UA)
            growth_UA = np.maximum(growth_UA, 0)  # rounding, or a unit worse than assumed possible
            refuted_UA = room_UA < -_ROUNDING * self.worst_UA  # even if all remaining units are as bad as possible
            growth_UA = np.where(refuted_UA, np.inf, growth_UA)
            return np.fmax.reduce(np.cumprod(growth_UA, axis=0), axis=0, initial=1.0)  # 0 times inf is NaN


def duels_of(
    better_UA: Floats,
    rows_U: Floats,
    running_A: NDArray[np.bool_],
    *,
    num_units: int,
    unit_rows: int,
    margin: float,
    span: float | None,
) -> Duels:
    """Leaders and stakes for each unit, which depend only on the units before it.

    The stake is the sum of the leads so far over the sum of their squares, where each lead is reduced by the next
    unit's expectation if the leader is better by exactly the margin. One more square, of half the worst lead, keeps the
    first stakes small.

    Args:
        better_UA: Sums of the scores over each unit, larger is better; NaN from the unit on at which an arm was
            eliminated.
        rows_U: Number of rows in each unit.
        running_A: Which arms are still in the race.
        num_units: Number of units of the whole dataset.
        unit_rows: Number of rows in a full unit.
        margin: The difference from the best that is tolerated, in units of the score.
        span: The largest minus the least possible score of a row; None without bounds.
    """
    num_seen_U = np.arange(len(rows_U), dtype=np.float64)[:, None]
    left_U = num_units - num_seen_U
    totals_UA = np.where(np.isnan(better_UA), -np.inf, _before(better_UA))
    leader_U = np.argmax(totals_UA, axis=1)
    lead_UA, before_UA, worst_UA, stake_UA = np.empty((4, len(rows_U), np.count_nonzero(running_A)))
    for leader in np.unique(leader_U):
        now_U = leader_U == leader
        leads_UA = better_UA[:, [leader]] - better_UA[:, running_A]
        excess_UA = leads_UA - margin * rows_U[:, None]
        sum_UA, squares_UA = _before(excess_UA), _before(excess_UA**2)
        farthest_UA = np.maximum.accumulate(np.abs(np.vstack([np.zeros_like(leads_UA[:1]), leads_UA[:-1]])))
        bound_UA = _BEYOND_SEEN * farthest_UA if span is None else np.full_like(leads_UA, span * unit_rows)
        expected_UA = -sum_UA / left_U
        mean_UA = sum_UA - num_seen_U * expected_UA
        second_UA = squares_UA - 2 * expected_UA * sum_UA + num_seen_U * expected_UA**2
        prior_UA = ((bound_UA + margin * unit_rows) / 2) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            stakes_UA = np.where(mean_UA > 0, mean_UA / (np.maximum(second_UA, 0) + prior_UA), 0)
        for of_all, of_leader in (
            (lead_UA, leads_UA),
            (before_UA, _before(leads_UA)),
            (worst_UA, bound_UA),
            (stake_UA, stakes_UA),
        ):
            of_all[now_U] = of_leader[now_U]
    return Duels(lead_UA, before_UA, worst_UA, stake_UA, rows_U, left_U[:, 0], unit_rows)


def shortfall_low(duels: Duels, eliminated_A: NDArray[np.bool_], *, margin: float, alpha: float) -> Floats:
    """The largest refuted shortfall, by bisection; it exceeds the margin if and only if the arm is eliminated."""
    farthest = np.max(np.abs(duels.lead_UA) / duels.rows_U[:, None])
    low_A = np.where(eliminated_A, margin, 0.0)
    high_A = np.where(eliminated_A, max(margin, farthest), margin)
    for _ in range(_HALVINGS):
        middle_A = (low_A + high_A) / 2
        refuted_A = duels.fortune(middle_A) >= 1 / alpha
        low_A, high_A = np.where(refuted_A, middle_A, low_A), np.where(refuted_A, high_A, middle_A)
    return low_A


def _before(values_UA: Floats) -> Floats:
    """Sums over all units before each unit."""
    return np.vstack([np.zeros_like(values_UA[:1]), np.cumsum(values_UA[:-1], axis=0)])
