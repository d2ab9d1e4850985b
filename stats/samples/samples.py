"""Samples: scores of all arms, rows x arms, with rows in one canonical order.

Axes: R rows, A arms.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay.manifests.errors import did_you_mean
from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats, Scores

NO_SEGMENT = "(none)"
"""The segment of rows without one, unless the data use this name: see `segment_names`."""
SMALLEST = 1e-140
"""Lower bound on the largest |score|: below it, squared differences in the 14th digit lose precision in float64."""
LARGEST = 1e150
"""Upper bound on the largest |score|: up to it, squares can be summed over 1e8 rows without overflow."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Scores, rows x arms. Rows are sorted by id, whatever their order in the input.

    Attributes:
        arms: Names of the arms, the axis A.
        kept_RA: The scores as stored: bool if all are known to be 0 or 1 (an eighth of the memory), else float64 with
            NaN where an arm has no score for a row. Unpaired without row ids: each arm's scores fill its column from
            the top, NaN below, and a row has no meaning.
        row_ids: Ids of the rows, int64 or str, ascending and unique.
        segments_R: The segment of each row as text, or None.
        clusters_R: The number of each row's cluster, 0 to G - 1, or None.
        num_repeats: How many scores were averaged into each entry.
        num_missing_A: Unpaired without row ids: lines without a score, by arm (they have no row here). Else None.
        corpus: Set if the scores are pseudo-values of a corpus metric: `bounded` if it lies between 0 and 1, else
            `unbounded`. None for ordinary scores.
        undefined: Why the mean is undefined on these rows (the scores then mean nothing), or None.
    """

    arms: tuple[str, ...]
    kept_RA: Scores
    row_ids: NDArray[Any]
    segments_R: NDArray[Any] | None = None
    clusters_R: NDArray[np.int64] | None = None
    num_repeats: int = 1
    num_missing_A: NDArray[np.int64] | None = None
    corpus: Literal["bounded", "unbounded"] | None = None
    undefined: str | None = None

    def __post_init__(self) -> None:
        if self.kept_RA.ndim != 2 or self.kept_RA.shape != (len(self.row_ids), len(self.arms)):
            raise ValueError(
                f"scores have shape {self.kept_RA.shape}, not {len(self.row_ids)} rows x {len(self.arms)} arms"
            )

    @property
    def num_rows(self) -> int:
        """The number of rows, including those with missing scores."""
        return self.kept_RA.shape[0]

    @property
    def scores_RA(self) -> Floats:
        """The scores as float64; a copy if they are stored as bool."""
        return self.kept_RA.astype(np.float64, copy=False)

    def scores_R(self, index: int) -> Floats:
        """One arm's scores as float64."""
        return self.kept_RA[:, index].astype(np.float64, copy=False)

    @property
    def are_bits(self) -> bool:
        """Whether all scores are stored as bool: each is 0 or 1, and none is missing."""
        return self.kept_RA.dtype == np.bool_

    def index(self, arm: str) -> int:
        """The column index of an arm.

        Raises:
            SamplesError: There is no such arm.
        """
        if arm not in self.arms:
            raise SamplesError(
                "the scores have no such arm", field="arm", value=arm, remedy=did_you_mean(arm, list(self.arms))
            )
        return self.arms.index(arm)

    def subset(self, rows_R: NDArray[Any]) -> "Samples":
        """The samples of some rows only, by mask or by ascending index."""
        return replace(
            self,
            kept_RA=self.kept_RA[rows_R],
            row_ids=self.row_ids[rows_R],
            segments_R=None if self.segments_R is None else self.segments_R[rows_R],
            clusters_R=None if self.clusters_R is None else renumbered(self.clusters_R[rows_R]),
        )


def segment_names(values_R: NDArray[Any]) -> NDArray[Any]:
    """The segment of each row as text.

    Rows without a segment form a segment of their own: `(none)`, or `((none))` if the data use that name, and so on.
    """
    values = values_R.tolist()
    names = {value: str(value) for value in values if value is not None}
    names[None] = free_segment_name(list(names.values()))
    return np.array([names[value] for value in values])


def free_segment_name(names: Collection[str | None]) -> str:
    """A name for the segment of rows without one that is not among these names."""
    name = NO_SEGMENT
    while name in names:
        name = f"({name})"
    return name


def renumbered(clusters_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cluster numbers 0 to G - 1 without gaps, in the same order."""
    return np.unique(clusters_R, return_inverse=True)[1].astype(np.int64)


def refuse_out_of_range(scores_RA: Scores, arms: tuple[str, ...], row_ids: NDArray[Any]) -> None:
    """Raises SamplesError if the largest |score| is outside [SMALLEST, LARGEST] and not 0; names where it occurs."""
    # No copy here: the scores may be the largest array in memory.
    largest = max(
        float(np.fmax.reduce(scores_RA, axis=None, initial=0.0)),
        -float(np.fmin.reduce(scores_RA, axis=None, initial=0.0)),
    )
    if largest == 0 or SMALLEST <= largest <= LARGEST:
        return
    size_RA = np.abs(scores_RA)
    row, index = np.argwhere(size_RA == largest)[0]
    place, value = f"arm '{arms[index]}', row {row_ids[row]}", float(scores_RA[row, index])
    if np.isinf(largest):
        raise SamplesError(
            f"{int(np.isinf(size_RA).sum())} of {size_RA.size} scores are infinite",
            place=place,
            field="score",
            value=value,
            bound="a finite number",
            remedy="infinite scores have no mean; bound the score, or leave it empty so that it counts as missing",
        )
    raise SamplesError(
        "squares of such scores are outside the range of float64, and variances need them",
        place=place,
        field="score",
        value=value,
        bound=f"a largest |score| from {SMALLEST:g} to {LARGEST:g}, or 0",
        remedy="rescale the scores: p-values do not depend on the unit",
    )
