"""Samples: scores of every arm, rows x arms in one canonical order of rows, or an error that names the rows.

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
"""The segment of rows that name none, unless a segment is called so: see `segment_names`."""
SMALLEST = 1e-140
"""The largest |score| may be no smaller: differences in its 14th digit have squares that float64 holds in full."""
LARGEST = 1e150
"""Nor larger than this: squares can still be added up over 1e8 rows."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Scores on rows x arms. Rows are in the order of their ids, whatever order they came in.

    Attributes:
        arms: Names of the arms, the axis A.
        kept_RA: The scores as they are kept: bool where each is known to be 0 or 1, an eighth of the memory; else
            float64, NaN where an arm has no score for a row. Unpaired without row ids: every arm's scores from the
            top of its column, NaN below; a row then means nothing.
        row_ids: Ids of the rows, int64 or str, ascending and unique.
        segments_R: The segment of each row as text, or None.
        clusters_R: Number of the row's cluster, 0 to G - 1, or None.
        num_repeats: Scores that were averaged into each entry.
        num_missing_A: Unpaired without row ids: lines without a score, by arm (they have no row here). Else None.
        corpus: Scores are pseudo-values of a corpus metric that is `bounded` by 0 and 1, or not. Else None.
        undefined: Why there is no mean on these rows, or None; scores then mean nothing.
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
            raise ValueError(f"scores are {self.kept_RA.shape}, not {len(self.row_ids)} rows x {len(self.arms)} arms")

    @property
    def num_rows(self) -> int:
        """Rows, with or without missing scores."""
        return self.kept_RA.shape[0]

    @property
    def scores_RA(self) -> Floats:
        """The scores as float64: a copy where they are kept as bool."""
        return self.kept_RA.astype(np.float64, copy=False)

    def scores_R(self, index: int) -> Floats:
        """One arm's scores as float64."""
        return self.kept_RA[:, index].astype(np.float64, copy=False)

    @property
    def are_bits(self) -> bool:
        """Whether every score is known to be 0 or 1, and so to be there."""
        return self.kept_RA.dtype == np.bool_

    def index(self, arm: str) -> int:
        """The column of an arm.

        Raises:
            SamplesError: There is no such arm.
        """
        if arm not in self.arms:
            raise SamplesError(
                "no such arm among the scores", field="arm", value=arm, remedy=did_you_mean(arm, list(self.arms))
            )
        return self.arms.index(arm)

    def taken(self, rows_R: NDArray[Any]) -> "Samples":
        """Only some rows, by mask or by ascending index."""
        return replace(
            self,
            kept_RA=self.kept_RA[rows_R],
            row_ids=self.row_ids[rows_R],
            segments_R=None if self.segments_R is None else self.segments_R[rows_R],
            clusters_R=None if self.clusters_R is None else renumbered(self.clusters_R[rows_R]),
        )


def segment_names(values_R: NDArray[Any]) -> NDArray[Any]:
    """The segment of each row as text.

    Rows that name none are a segment of their own: `(none)`, in more brackets where a segment is called that.
    """
    values = values_R.tolist()
    names = {value: str(value) for value in values if value is not None}
    names[None] = free_segment_name(list(names.values()))
    return np.array([names[value] for value in values])


def free_segment_name(names: Collection[str | None]) -> str:
    """What to call the segment of rows that name none, beside segments of these names."""
    name = NO_SEGMENT
    while name in names:
        name = f"({name})"
    return name


def renumbered(clusters_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cluster numbers 0 to G - 1 with none unused, in the same order."""
    return np.unique(clusters_R, return_inverse=True)[1].astype(np.int64)


def refuse_out_of_range(scores_RA: Scores, arms: tuple[str, ...], row_ids: NDArray[Any]) -> None:
    """Raises SamplesError where the largest |score| is infinite, or its square no sound float64, naming the first."""
    # Without a copy: the scores may be the largest thing in memory.
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
            remedy="a mean of infinite scores is none; bound the score, or leave it empty to count it as missing",
        )
    raise SamplesError(
        "squares of such scores leave float64, and variances are made of them",
        place=place,
        field="score",
        value=value,
        bound=f"a largest |score| from {SMALLEST:g} to {LARGEST:g}, or 0",
        remedy="rescale the scores: in another unit every p-value is the same",
    )
