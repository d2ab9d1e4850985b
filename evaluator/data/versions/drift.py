"""Drift: how much the distribution of each column changed between two versions, compared with sampling noise."""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assay.evaluator.data.profile.distinct import Distinct
from assay.evaluator.data.profile.profile import numbers, text_of
from assay.evaluator.data.profile.quantiles import Spread
from assay.evaluator.data.versions.drift_statistics import (
    Counts,
    chi_squared_quantile,
    jensen_shannon,
    kolmogorov_smirnov,
    l_infinity,
    psi,
)
from assay.manifests.column import FrozenColumn, is_number
from assay.manifests.contract import Contract
from assay.manifests.drift_report import ColumnDrift, DriftStatistic
from assay.manifests.drift_thresholds import DriftThresholds
from assay.manifests.errors import shortened
from assay.manifests.profile import ValueCount

FALSE_ALARMS = 0.05
"""The probability that, by chance alone, any statistic of a report exceeds its chance bound."""
_NUM_BINS = 10
_MIN_EXPECTED = 5
"""Cells in which the smaller version would have fewer rows are merged, since the formulas do not hold for them."""
_BLOCK = 1 << 16
_NUM_NAMED = 20
_NEVER_ALIKE = ("id", "cluster", "timestamp")
"""Roles of columns whose values differ between rows by nature, which is not drift."""


class Follower:
    """Follows the rows of one version in order; memory hardly grows with them.

    Up to 65,536 numbers are kept exactly; the ranks of a billion are within 0.0002.
    """

    def __init__(self, columns: tuple[FrozenColumn, ...]) -> None:
        """Starts with no rows.

        Args:
            columns: The columns of the version. Those of role id, cluster and timestamp are left out.
        """
        self.num_rows = 0
        self.columns = {each.name: _Followed(each) for each in columns if each.role not in _NEVER_ALIKE}

    def take(self, rows: pa.Table) -> None:
        """Adds rows."""
        self.num_rows += rows.num_rows
        for name, column in self.columns.items():
            for array in rows.select([name]).combine_chunks()[name].chunks:  # shards consist of small batches
                column.take(array)


class _Followed:
    """The values of one column of one version."""

    def __init__(self, column: FrozenColumn) -> None:
        self.column = column
        self.num_nulls = self.num_values = 0
        self.spread = Spread(block=_BLOCK)
        self.distinct = None if column.shape else Distinct()

    def take(self, array: Any) -> None:
        self.num_nulls += array.null_count
        self.num_values += len(array) - array.null_count
        if array.null_count:
            array = array.drop_null()
        self.spread.take(numbers(array, self.column))
        if self.distinct is not None and self.distinct.counts is not None and self._may_be_categories:
            self.distinct.take(array)

    @property
    def _may_be_categories(self) -> bool:
        column = self.column
        return column.type in ("string", "bool") or (column.role in ("label", "segment") and "int" in column.type)

    @property
    def categories(self) -> dict[str, int] | None:
        """How often each value occurs, by its text; None if the values are not categories, or there are too many.

        A text column other than a label or segment counts as categories only if values occur twice on average.
        """
        if self.distinct is None or not self._may_be_categories or self.distinct.counts is None:
            return None
        is_group = self.column.role in ("label", "segment") or self.column.type == "bool"
        if not is_group and 2 * len(self.distinct.counts) > self.num_values:
            return None
        return {text_of(value): count for value, count in self.distinct.counts.items()}

    @property
    def kind(self) -> str:
        """What is compared if the values are not categories, as in `ColumnDrift.compared`."""
        if self.column.shape:
            return "elements"
        if self.column.type in ("date", "timestamp"):
            return "seconds"
        return "lengths" if self.column.type == "string" else "numbers"


def compare(earlier: Follower, later: Follower, *, contract: Contract) -> tuple[ColumnDrift, ...]:
    """The drift of each column that both versions have with comparable types.

    Args:
        earlier: The earlier version's rows.
        later: The later version's rows.
        contract: The later version's contract, whose thresholds apply; a column's own take precedence.
    """
    own = {column.name: column.drift for column in contract.columns}
    pairs = [
        (earlier.columns[name], column, own.get(name) or contract.drift)
        for name, column in later.columns.items()
        if name in earlier.columns and _are_comparable(earlier.columns[name].column, column.column)
    ]
    num_statistics = sum(sum(value is not None for value in thresholds) for *_, thresholds in _with_thresholds(pairs))
    return tuple(
        _column_drift(before, after, thresholds, false_alarms=FALSE_ALARMS / max(1, num_statistics))
        for before, after, thresholds in pairs
    )


def _with_thresholds(
    pairs: list[tuple[_Followed, _Followed, DriftThresholds]],
) -> Iterator[tuple[Any, Any, list[float | None]]]:
    for before, after, thresholds in pairs:
        yield before, after, [getattr(thresholds, name) for name in _statistics_of(before, after)]


def _statistics_of(before: _Followed, after: _Followed) -> tuple[str, ...]:
    if not before.num_values or not after.num_values:
        return ("null_fraction",)
    if before.categories is not None and after.categories is not None:
        return ("psi", "jensen_shannon", "l_infinity", "null_fraction")
    return ("psi", "jensen_shannon", "kolmogorov_smirnov", "null_fraction")


def _are_comparable(before: FrozenColumn, after: FrozenColumn) -> bool:
    if before.shape != after.shape:
        return False
    return before.type == after.type or (is_number(before.type) and is_number(after.type))


def _column_drift(
    before: _Followed, after: _Followed, thresholds: DriftThresholds, *, false_alarms: float
) -> ColumnDrift:
    num_rows = [each.num_nulls + each.num_values for each in (before, after)]
    nulls = [each.num_nulls / max(1, num) for each, num in zip((before, after), num_rows, strict=True)]
    measured = {
        "null_fraction": (abs(nulls[1] - nulls[0]), _chance_of_fractions(*_null_cells(before, after), false_alarms))
    }
    compared, new, lost = "nothing", {}, {}
    if before.num_values and after.num_values:
        was, now = before.categories, after.categories
        if was is not None and now is not None:
            compared = "categories"
            measured |= _of_categories(was, now, false_alarms)
            new = {value: count for value, count in now.items() if value not in was}
            lost = {value: count for value, count in was.items() if value not in now}
        else:
            compared = after.kind
            measured |= _of_numbers(before, after, false_alarms)
    statistics = tuple(
        DriftStatistic.model_validate({"name": name, "value": value, "threshold": threshold, "chance": chance})
        for name in DriftThresholds.model_fields
        if name in measured and (threshold := getattr(thresholds, name)) is not None
        for value, chance in [measured[name]]
    )
    past = {each.name for each in statistics if each.is_past}
    return ColumnDrift.model_validate(
        {
            "column": after.column.name,
            "compared": compared,
            "null_fraction_earlier": nulls[0],
            "null_fraction_later": nulls[1],
            "has_null_explosion": "null_fraction" in past and not before.num_nulls,
            "num_new_values": len(new),
            "new_values": _most_frequent(new),
            "num_lost_values": len(lost),
            "lost_values": _most_frequent(lost),
            "statistics": statistics,
            "has_drifted": bool(past),
        }
    )


def _null_cells(before: _Followed, after: _Followed) -> tuple[Counts, Counts]:
    first, second = (np.array([each.num_nulls, each.num_values]) for each in (before, after))
    return first, second


def _of_categories(was: dict[str, int], now: dict[str, int], false_alarms: float) -> dict[str, tuple[float, float]]:
    values = sorted({*was, *now})
    before, after = (np.array([counts.get(value, 0) for value in values]) for counts in (was, now))
    statistics = _of_cells(*_without_rare(before, after), false_alarms)
    return statistics | {"l_infinity": (l_infinity(before, after), _chance_of_fractions(before, after, false_alarms))}


def _of_numbers(before: _Followed, after: _Followed, false_alarms: float) -> dict[str, tuple[float, float]]:
    was, now = before.spread.distribution(), after.spread.distribution()
    edges = np.unique(was.quantiles([level / _NUM_BINS for level in range(1, _NUM_BINS)]))
    cells = [np.diff(each.num_up_to(edges), prepend=0, append=each.num_values) for each in (was, now)]
    # The elements of a tensor are not independent: counts are scaled to the number of rows.
    scaled = [
        counts * (each.num_values / each.spread.num_values) for counts, each in zip(cells, (before, after), strict=True)
    ]
    statistics = _of_cells(scaled[0], scaled[1], false_alarms)
    chance = math.sqrt(-math.log(false_alarms / 2) / 2 * (1 / before.num_values + 1 / after.num_values))
    return statistics | {"kolmogorov_smirnov": (kolmogorov_smirnov(was, now), chance)}


def _of_cells(before: npt.NDArray[Any], after: npt.NDArray[Any], false_alarms: float) -> dict[str, tuple[float, float]]:
    """PSI and Jensen-Shannon divergence with their chance bounds.

    For small changes both are multiples of the chi-squared statistic, with one degree of freedom fewer than there are
    cells: (1/n + 1/m) chi-squared for PSI (Yurdakul 2018, "Statistical properties of population stability index"), and
    1/8 of that, in nats, for Jensen-Shannon.
    """
    degrees = max(1, int(np.count_nonzero(before + after)) - 1)
    unit = (1 / before.sum() + 1 / after.sum()) * chi_squared_quantile(1 - false_alarms, degrees=degrees)
    return {
        "psi": (max(0.0, psi(before, after)), unit),
        "jensen_shannon": (jensen_shannon(before, after), unit / (8 * math.log(2))),
    }


def _chance_of_fractions(before: Counts, after: Counts, false_alarms: float) -> float:
    """The chance bound of the largest difference of the cells' fractions: normal, with Bonferroni over the cells."""
    num_before, num_after = before.sum(), after.sum()
    together = (before + after) / (num_before + num_after)
    z = NormalDist().inv_cdf(1 - false_alarms / 2 / len(before))
    deviation = np.sqrt(np.max(together * (1 - together)) * (1 / num_before + 1 / num_after))
    return float(z * deviation)


def _without_rare(before: Counts, after: Counts) -> tuple[Counts, Counts]:
    """The cells, with the rare ones merged into one."""
    together = (before + after) / (before.sum() + after.sum())
    is_rare = together * min(before.sum(), after.sum()) < _MIN_EXPECTED
    first, second = (np.append(counts[~is_rare], counts[is_rare].sum()) for counts in (before, after))
    return first, second


def _most_frequent(counts: dict[str, int]) -> tuple[ValueCount, ...]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(
        ValueCount(value=shortened(value) if value else "", num_rows=count) for value, count in ordered[:_NUM_NAMED]
    )
