"""Races: eliminates arms that cannot be the best, after the first units of a dataset in random order.

An arm is eliminated by one test of one hypothesis: "no rival is better by more than the margin on the whole dataset".
On each unit, the arm's gambler bets on the arm that led before that unit. If the hypothesis is true, the expected
fortune never grows, so the probability that it ever reaches 1 / alpha times its start is at most alpha (Ville's
inequality), at whatever units one looks. Only the truly best arm can be eliminated wrongly, and it faces one gambler,
so alpha is not divided, however many arms race.

Sources: Waudby-Smith & Ramdas (2020, Confidence sequences for sampling without replacement, NeurIPS 33) for the
expectation of the next unit given those drawn; Waudby-Smith & Ramdas (2024, Estimating means of bounded random
variables by betting, J. R. Stat. Soc. B 86:1) for the stakes (aGRAPA).

The arithmetic is additions, multiplications and divisions in the order of the units, so a longer race starts with the
same bits.

Axes: U units in the order drawn, A arms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.manifests.errors import InvalidInput
from assay.stats.errors import SamplesError
from assay.stats.sequential import betting

Floats = NDArray[np.float64]

_ROUNDING = 1e-9


@dataclass(frozen=True)
class RacedArm:
    """An arm that is still in the race.

    Attributes:
        arm: Its name.
        mean: Its mean score over the rows so far.
        shortfall: How much better the leader's mean is, in units of the score; 0 or more in either direction.
        shortfall_low: Lower confidence bound on how much worse the arm is than the best of its rivals on the whole
            dataset, at confidence 1 - alpha simultaneously over all looks, for this arm; 0 is uninformative.
        p_value: Of "no rival is better by more than the margin"; valid simultaneously at all looks, for this arm.
        eliminated: Whether the p-value is at most alpha, so that the arm can be eliminated.
    """

    arm: str
    mean: float
    shortfall: float
    shortfall_low: float
    p_value: float
    eliminated: bool


@dataclass(frozen=True)
class RaceLook:
    """The state of a race after some of its units.

    Attributes:
        num_units: Number of units so far.
        leader: The arm with the best mean so far; of ties, the first by name.
        guarantee: `exact`: the best arm is eliminated with probability at most alpha, whatever the scores.
            `approximate` (scores without bounds): this holds only if no unit is much more extreme than the units before it.
        arms: The arms still in the race, in the order given.
    """

    num_units: int
    leader: str
    guarantee: Literal["exact", "approximate"]
    arms: tuple[RacedArm, ...]


def waves(num_units: int, *, first: int, growth: float) -> tuple[int, ...]:
    """The numbers of units after which a race has a look: the first wave, then geometric growth, finally all units.

    Each look adds at least one unit. Looks cost every arm a reload but no error: the guarantee holds at every unit.

    Args:
        num_units: Number of units of the dataset.
        first: Number of units in the first wave.
        growth: The factor by which the number of finished units grows from look to look.

    Raises:
        InvalidInput: There are no units, the first wave is empty, or growth is below 1.
    """
    if num_units < 1 or first < 1 or not 1 <= growth < math.inf:
        raise InvalidInput(
            "not a valid schedule of waves",
            field="waves",
            value=(num_units, first, growth),
            bound="at least one unit, a first wave of at least one unit, and growth of 1 or more",
        )
    looks = [min(first, num_units)]
    while looks[-1] < num_units:
        looks.append(min(num_units, max(looks[-1] + 1, math.floor(looks[-1] * growth))))
    return tuple(looks)


@dataclass(frozen=True)
class RacedDataset:
    """The size of the whole dataset.

    Attributes:
        num_units: Number of units.
        num_rows: Number of rows.
        unit_rows: Number of rows in a full unit; no unit has more.
    """

    num_units: int
    num_rows: int
    unit_rows: int


@dataclass(frozen=True)
class RaceRules:
    """When an arm is eliminated.

    Attributes:
        direction: Which direction of the score is better.
        margin: An arm is eliminated if it is worse by more than this, in units of the score; 0 or more.
        alpha: The largest acceptable probability of eliminating the best arm.
        bounds: The least and the largest possible score of a row; None if unbounded.
    """

    direction: Literal["higher", "lower"]
    margin: float
    alpha: float
    bounds: tuple[float, float] | None = None


def race(
    sums_UA: ArrayLike, *, rows_U: ArrayLike, arms: Sequence[str], dataset: RacedDataset, rules: RaceRules
) -> RaceLook:
    """Determines the leader and the eliminated arms after the first units of a random order of all units.

    The probability that the arm that is truly best on the whole dataset is ever eliminated is at most alpha, over all
    looks and arms. Rows within a unit may be arbitrary, as in sorted data: only the order of the units is random.

    With bounds, eliminating an arm means that no completion of the dataset in which it is best is plausible; this takes
    more units the fewer there are in total and the smaller the difference is relative to the range. Without bounds, a
    unit's lead is assumed to be at most twice as large as any before it; a rare group of rows that no unit has shown
    yet can then eliminate the best arm.

    Args:
        sums_UA: Sums of the scores of each unit's rows, by arm, in the order in which the units were drawn, for all
            arms that started; NaN from the unit on at which an arm was eliminated.
        rows_U: Number of rows in each of these units.
        arms: Names of the arms.
        dataset: The whole dataset.
        rules: When an arm is eliminated.

    Returns:
        All arms still in the race. After all units, differences are known exactly.

    Raises:
        InvalidInput: Margin or alpha is out of range, or the numbers of units and rows contradict each other.
        SamplesError: A sum is missing before others of its arm, not finite, or outside the bounds; or no arm is left.
    """
    rows = np.asarray(rows_U, dtype=np.float64)
    sums = np.asarray(sums_UA, dtype=np.float64)
    _check_rules(rules)
    _check_rows(rows, dataset)
    _check_sums(sums, rows, arms=arms, bounds=rules.bounds)
    order = np.argsort(np.asarray(arms))  # ties go to the first arm by name, whatever the order of the arms
    better = (sums if rules.direction == "higher" else -sums)[:, order]
    running = np.isfinite(better[-1])
    total_A = better[:, running].sum(axis=0)
    shortfall_A = (total_A.max() - total_A) / rows.sum()
    if len(rows) == dataset.num_units:
        low_A, p_value_A = shortfall_A, np.where(shortfall_A > rules.margin, 0.0, 1.0)
    else:
        duels = betting.duels_of(
            better,
            rows,
            running,
            num_units=dataset.num_units,
            unit_rows=dataset.unit_rows,
            margin=rules.margin,
            span=None if rules.bounds is None else rules.bounds[1] - rules.bounds[0],
        )
        p_value_A = 1 / duels.fortune(np.full(len(total_A), rules.margin))
        low_A = betting.shortfall_low(duels, p_value_A <= rules.alpha, margin=rules.margin, alpha=rules.alpha)
    raced = {
        int(arm): RacedArm(
            arm=arms[int(arm)],
            mean=float(sums[:, arm].sum() / rows.sum()),
            shortfall=float(shortfall_A[place]),
            shortfall_low=float(low_A[place]),
            p_value=float(p_value_A[place]),
            eliminated=bool(p_value_A[place] <= rules.alpha),
        )
        for place, arm in enumerate(order[running])
    }
    return RaceLook(
        num_units=len(rows),
        leader=arms[int(order[running][np.argmax(total_A)])],
        guarantee="approximate" if rules.bounds is None else "exact",
        arms=tuple(raced[arm] for arm in sorted(raced)),
    )


def _check_rules(rules: RaceRules) -> None:
    if not 0 < rules.alpha < 1:
        raise InvalidInput("alpha must be a probability", field="alpha", value=rules.alpha, bound="above 0, below 1")
    if not 0 <= rules.margin < math.inf:
        raise InvalidInput(
            "not a valid margin", field="margin", value=rules.margin, bound="0 or more, in units of the score"
        )


def _check_rows(rows_U: Floats, dataset: RacedDataset) -> None:
    num_units, num_rows, unit_rows = dataset.num_units, dataset.num_rows, dataset.unit_rows
    num_left, rows_left = num_units - len(rows_U), num_rows - rows_U.sum()
    if not len(rows_U) or num_left < 0 or rows_left < num_left or rows_left > num_left * unit_rows:
        raise InvalidInput(
            f"{len(rows_U)} units with {rows_U.sum():.0f} rows cannot be a part of the dataset",
            field="rows_U",
            value=rows_left,
            bound=f"as many rows left as {num_left} units of 1 to {unit_rows} rows can have",
            remedy=f"the dataset has {num_rows} rows in {num_units} units",
        )
    if (rows_U < 1).any() or (rows_U > unit_rows).any():
        raise InvalidInput(
            "not a valid number of rows of a unit", field="rows_U", value=list(rows_U), bound=f"1 to {unit_rows}"
        )


def _check_sums(sums_UA: Floats, rows_U: Floats, *, arms: Sequence[str], bounds: tuple[float, float] | None) -> None:
    if sums_UA.shape != (len(rows_U), len(arms)):
        raise SamplesError(
            "sums do not have the shape units x arms",
            field="sums_UA",
            value=sums_UA.shape,
            bound=f"{len(rows_U)} x {len(arms)}",
        )
    missing_UA = np.isnan(sums_UA)
    for bad_UA, problem, bound in (
        (
            missing_UA[:-1] & ~missing_UA[1:],
            "a sum is missing before other sums of its arm",
            "no missing sums before an arm is eliminated",
        ),
        (np.isinf(sums_UA), "a sum is not finite", "a finite number"),
        (
            _outside(sums_UA, rows_U, bounds),
            "a sum is outside the range of its rows' scores",
            f"scores within {bounds}",
        ),
    ):
        if bad_UA.any():
            unit, arm = np.argwhere(bad_UA)[0]
            value = float(sums_UA[unit, arm])
            raise SamplesError(
                problem, place=f"unit {unit} in drawn order, arm '{arms[arm]}'", value=value, bound=bound
            )
    if missing_UA[-1].all():
        raise SamplesError(
            "no arm is left in the race", field="sums_UA", bound="at least one arm with a sum of the last unit"
        )


def _outside(sums_UA: Floats, rows_U: Floats, bounds: tuple[float, float] | None) -> NDArray[np.bool_]:
    low, high = bounds or (-math.inf, math.inf)
    slack_U1 = _ROUNDING * rows_U[:, None]
    return (sums_UA < low * rows_U[:, None] - slack_U1) | (sums_UA > high * rows_U[:, None] + slack_U1)
