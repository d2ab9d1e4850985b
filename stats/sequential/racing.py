"""Races: which arms are surely not the best after the first units of a dataset, taken in random order.

An arm is eliminated by one test of one hypothesis: "no rival is better by more than the margin, on the whole dataset".
The arm's gambler stakes, unit after unit, on whoever led before that unit. Where the hypothesis holds, the expected
fortune never grows, so that it ever grows (1 / alpha)-fold with probability alpha at most (Ville's inequality), at
whatever unit one looks. Only the truly best arm can be eliminated wrongly, and it has one gambler: however many arms
race, alpha is not divided.

Sources: Waudby-Smith & Ramdas (2020, Confidence sequences for sampling without replacement, NeurIPS 33), for the
expectation of the next unit given those drawn; Waudby-Smith & Ramdas (2024, Estimating means of bounded random
variables by betting, J. R. Stat. Soc. B 86:1), for the stakes (its aGRAPA).

Only additions, multiplications and divisions, each in the order of the units: a longer race begins with the same bits.

Axes: U units in the order in which they were drawn, A arms.
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
    """One arm that is still in the race.

    Attributes:
        arm: Its name.
        mean: Its mean score over the rows so far.
        shortfall: How much better the leader's mean is, in units of the score, above 0 in either direction.
        shortfall_low: The arm is worse than the best of its rivals on the whole dataset by at least this, with
            confidence 1 - alpha at all looks together, for this arm; 0 says nothing.
        p_value: Against "no rival is better by more than the margin"; valid at all looks together, for this arm.
        eliminated: Whether it is at most alpha: the arm can be eliminated.
    """

    arm: str
    mean: float
    shortfall: float
    shortfall_low: float
    p_value: float
    eliminated: bool


@dataclass(frozen=True)
class RaceLook:
    """A race after some of its units.

    Attributes:
        num_units: Units so far.
        leader: The arm with the best mean so far; of equals, the first by name.
        guarantee: `exact`: the best arm is eliminated with probability alpha at most, whatever the scores.
            `approximate`: so far as no unit is much farther off than those before it, for scores without bounds.
        arms: The arms still in the race, in the order given.
    """

    num_units: int
    leader: str
    guarantee: Literal["exact", "approximate"]
    arms: tuple[RacedArm, ...]


def waves(num_units: int, *, first: int, growth: float) -> tuple[int, ...]:
    """After how many units a race is looked at: the first wave, then so many times as many (one more at least), at last all.

    A look costs every arm a reload, and no error: the guarantee holds at every unit.

    Args:
        num_units: Units of the dataset.
        first: Units of the first wave.
        growth: How many times as many units are done at each further look.

    Raises:
        InvalidInput: There is no unit or no first wave, or the waves do not grow.
    """
    if num_units < 1 or first < 1 or not 1 <= growth < math.inf:
        raise InvalidInput(
            "no schedule of waves",
            field="waves",
            value=(num_units, first, growth),
            bound="at least one unit and a first wave of one, growth of 1 or more",
        )
    looks = [min(first, num_units)]
    while looks[-1] < num_units:
        looks.append(min(num_units, max(looks[-1] + 1, math.floor(looks[-1] * growth))))
    return tuple(looks)


@dataclass(frozen=True)
class RacedDataset:
    """How large the whole dataset is.

    Attributes:
        num_units: Its units.
        num_rows: Its rows.
        unit_rows: Rows of a full unit; none has more.
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
        alpha: The probability with which the best arm may be eliminated.
        bounds: The least and the largest score of a row, if there are such.
    """

    direction: Literal["higher", "lower"]
    margin: float
    alpha: float
    bounds: tuple[float, float] | None = None


def race(
    sums_UA: ArrayLike, *, rows_U: ArrayLike, arms: Sequence[str], dataset: RacedDataset, rules: RaceRules
) -> RaceLook:
    """Who leads, and who is eliminated, after the first units of a random order of all units.

    The arm that is truly best on the whole dataset is ever eliminated with probability alpha at most, over all
    looks and arms. Rows inside a unit may be anything, as in sorted data: only the order of the units is random.

    With bounds, dropping an arm means that no completion of the dataset in which it is best is plausible: the fewer
    the units, and the smaller the difference beside the range, the more of them it takes. Without bounds, a unit is
    taken to be at most twice as far off as any before it; a rare group of rows that no unit has shown yet can then
    cost the best arm its place.

    Args:
        sums_UA: Sums of the scores of each unit's rows, by arm, in the order in which the units were drawn. Arms are
            all that started; NaN from the unit on at which an arm was eliminated.
        rows_U: Rows in each of these units.
        arms: Names of the arms.
        dataset: The whole dataset.
        rules: When an arm is eliminated.

    Returns:
        All arms still in the race. With all units seen, differences are known exactly.

    Raises:
        InvalidInput: Margin or alpha are none, or the numbers of units and rows contradict each other.
        SamplesError: A sum is missing amid an arm's sums, is no finite number or outside the bounds, or no arm is left.
    """
    rows = np.asarray(rows_U, dtype=np.float64)
    sums = np.asarray(sums_UA, dtype=np.float64)
    _check_rules(rules)
    _check_rows(rows, dataset)
    _check_sums(sums, rows, arms=arms, bounds=rules.bounds)
    order = np.argsort(np.asarray(arms))  # of equal leaders the first by name is taken, in whatever order the arms come
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
    found = {
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
        arms=tuple(found[arm] for arm in sorted(found)),
    )


def _check_rules(rules: RaceRules) -> None:
    if not 0 < rules.alpha < 1:
        raise InvalidInput("not a probability of error", field="alpha", value=rules.alpha, bound="above 0, below 1")
    if not 0 <= rules.margin < math.inf:
        raise InvalidInput("not a margin", field="margin", value=rules.margin, bound="0 or more, in units of the score")


def _check_rows(rows_U: Floats, dataset: RacedDataset) -> None:
    num_units, num_rows, unit_rows = dataset.num_units, dataset.num_rows, dataset.unit_rows
    num_left, rows_left = num_units - len(rows_U), num_rows - rows_U.sum()
    if not len(rows_U) or num_left < 0 or rows_left < num_left or rows_left > num_left * unit_rows:
        raise InvalidInput(
            f"{len(rows_U)} units of {rows_U.sum():.0f} rows are no part of the dataset",
            field="rows_U",
            value=rows_left,
            bound=f"rows left for {num_left} units of 1 to {unit_rows} rows",
            remedy=f"the dataset has {num_rows} rows in {num_units} units",
        )
    if (rows_U < 1).any() or (rows_U > unit_rows).any():
        raise InvalidInput("not the rows of a unit", field="rows_U", value=list(rows_U), bound=f"1 to {unit_rows}")


def _check_sums(sums_UA: Floats, rows_U: Floats, *, arms: Sequence[str], bounds: tuple[float, float] | None) -> None:
    if sums_UA.shape != (len(rows_U), len(arms)):
        raise SamplesError(
            "sums are not units x arms", field="sums_UA", value=sums_UA.shape, bound=f"{len(rows_U)} x {len(arms)}"
        )
    gone_UA = np.isnan(sums_UA)
    for bad_UA, problem, bound in (
        (
            gone_UA[:-1] & ~gone_UA[1:],
            "a sum is missing before others of its arm",
            "none missing until an arm is eliminated",
        ),
        (np.isinf(sums_UA), "a sum is no finite number", "a finite number"),
        (_outside(sums_UA, rows_U, bounds), "a sum is outside what its rows can score", f"rows score {bounds}"),
    ):
        if bad_UA.any():
            unit, arm = np.argwhere(bad_UA)[0]
            value = float(sums_UA[unit, arm])
            raise SamplesError(
                problem, place=f"unit {unit} in drawn order, arm '{arms[arm]}'", value=value, bound=bound
            )
    if gone_UA[-1].all():
        raise SamplesError("no arm is left in the race", field="sums_UA", bound="an arm with a sum of the last unit")


def _outside(sums_UA: Floats, rows_U: Floats, bounds: tuple[float, float] | None) -> NDArray[np.bool_]:
    low, high = bounds or (-math.inf, math.inf)
    slack_U1 = _ROUNDING * rows_U[:, None]
    return (sums_UA < low * rows_U[:, None] - slack_U1) | (sums_UA > high * rows_U[:, None] + slack_U1)
