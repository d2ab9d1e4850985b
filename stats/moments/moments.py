"""Additive moments of paired scores: everything that comparisons of means need, without keeping the rows.

Axes: R rows, A arms in the order of `arms`, D the arms without the control, Y the columns (control, differences of
the other arms from the control). Per row, `x_control = y_0` and `x_arm = y_0 + y_arm`, so means and covariances of
arms follow from those of Y, and differences keep full precision even if all arms share a large offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scores = NDArray[np.float64 | np.bool_]

BLOCK_NUM_ROWS = 8192
"""Rows are reduced in blocks of the global row order, so results do not depend on how rows were divided into units."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Counts, means and co-moments of rows x arms.

    Addition is the pairwise update of Chan, Golub & LeVeque (1983, Am. Stat. 37:242), with values shifted by those of
    the first row. It is associative up to rounding; `RowBlocks` adds in one fixed order, so totals are identical to
    the last bit.

    Attributes:
        arms: Names of the arms, the axis A.
        control: Index of the control in `arms`.
        num_rows: Number of rows.
        shift_Y: The values subtracted from the columns Y before averaging.
        offset_Y: Means of the shifted columns.
        comoments_YY: Sums of products of deviations from the means.
        scale_Y: The largest absolute score that entered each column; it bounds the column's rounding errors.
        ones_AA: Rows on which both arms score 1 (diagonal: on which the arm does), int64; None unless all are 0 or 1.
    """

    arms: tuple[str, ...]
    control: int
    num_rows: int
    shift_Y: Floats
    offset_Y: Floats
    comoments_YY: Floats
    scale_Y: Floats
    ones_AA: NDArray[np.int64] | None

    def __add__(self, other: "Moments") -> "Moments":
        if (self.arms, self.control) != (other.arms, other.control):
            raise ValueError(f"cannot add moments of different arms: {self.arms} and {other.arms}")
        num_rows = self.num_rows + other.num_rows
        step_Y = (other.shift_Y - self.shift_Y) + (other.offset_Y - self.offset_Y)
        weight = self.num_rows * (other.num_rows / num_rows)
        ones_AA = None if self.ones_AA is None or other.ones_AA is None else self.ones_AA + other.ones_AA
        return Moments(
            arms=self.arms,
            control=self.control,
            num_rows=num_rows,
            shift_Y=self.shift_Y,
            offset_Y=self.offset_Y + step_Y * (other.num_rows / num_rows),
            comoments_YY=self.comoments_YY + other.comoments_YY + weight * np.multiply.outer(step_Y, step_Y),
            scale_Y=np.maximum(self.scale_Y, other.scale_Y),
            ones_AA=ones_AA,
        )

    @property
    def num_arms(self) -> int:
        """The number of arms k."""
        return len(self.arms)

    @cached_property
    def mean_D(self) -> Floats:
        """Means of the differences from the control, length k - 1."""
        return (self.shift_Y + self.offset_Y)[1:]

    @cached_property
    def covariance_DD(self) -> Floats:
        """Sample covariance (n - 1) of the differences from the control; exactly 0 where they are constant."""
        comoments_YY = _without_rounding(self.comoments_YY, self.scale_Y, self.num_rows)
        return comoments_YY[1:, 1:] / max(self.num_rows - 1, 1)

    @cached_property
    def difference_mean_A(self) -> Floats:
        """Means of the differences from the control on the axis A: 0 for the control itself."""
        return np.insert(self.mean_D, self.control, 0.0)

    @cached_property
    def difference_covariance_AA(self) -> Floats:
        """Covariance of the differences on the axis A: a row and a column of 0 for the control."""
        rows_AD = np.insert(self.covariance_DD, self.control, 0.0, axis=0)
        return np.insert(rows_AD, self.control, 0.0, axis=1)

    @cached_property
    def mean_A(self) -> Floats:
        """Mean score of every arm."""
        return self.shift_Y[0] + (self.offset_Y[0] + self.difference_mean_A)

    @cached_property
    def covariance_AA(self) -> Floats:
        """Sample covariance (n - 1) of the arms' scores."""
        comoments_YY = _without_rounding(self.comoments_YY, self.scale_Y, self.num_rows)
        cross_A = np.insert(comoments_YY[0, 1:], self.control, 0.0) / max(self.num_rows - 1, 1)
        own = comoments_YY[0, 0] / max(self.num_rows - 1, 1)
        return own + cross_A[:, None] + cross_A[None, :] + self.difference_covariance_AA

    @property
    def rounding(self) -> float:
        """The largest difference of two means that rounding can produce if the scores are equal."""
        return 8 * float(np.finfo(np.float64).eps) * float(self.scale_Y.max())

    @property
    def discordant_AA(self) -> NDArray[np.int64] | None:
        """Rows on which the first arm scores 1 and the second 0 (b of McNemar's table), or None if not binary."""
        return None if self.ones_AA is None else np.diag(self.ones_AA)[:, None] - self.ones_AA


def _without_rounding(comoments_YY: Floats, scale_Y: Floats, num_rows: int) -> Floats:
    """The co-moments, with 0 for columns that vary by no more than rounding errors.

    The difference of two float64 scores below `scale` has an error of at most `scale * eps`; if the standard deviation
    is below four times that, the variation is the rounding of a constant.
    """
    spread_Y = np.sqrt(np.diag(comoments_YY) / max(num_rows, 1))
    constant_Y = spread_Y <= 4 * np.finfo(np.float64).eps * scale_Y
    kept_YY = comoments_YY.copy()
    kept_YY[constant_Y, :] = 0.0
    kept_YY[:, constant_Y] = 0.0
    return kept_YY


def moments_of(scores_RA: Scores, *, arms: Sequence[str], control: int) -> Moments:
    """Moments of all rows of an array in its own order, reduced block by block.

    Args:
        scores_RA: Rows x arms, at least one row, finite.
        arms: Names of the columns.
        control: Index of the control.
    """
    return blocks_of(scores_RA, first_row=0, arms=arms, control=control).total()


@dataclass(frozen=True, eq=False)
class RowBlocks:
    """Moments of a part of the rows, by block of the global row order; parts add up to the same bits in any division.

    A block that lies completely within a part is reduced to its moments. Pieces of a block that several parts share
    are kept as rows until the block is complete.

    Attributes:
        arms: Names of the arms.
        control: Index of the control.
        whole: Moments of complete blocks, by block number.
        pieces: Rows of incomplete blocks, by the number of their first row.
    """

    arms: tuple[str, ...]
    control: int
    whole: MappingProxyType[int, Moments]
    pieces: MappingProxyType[int, Scores]

    def __add__(self, other: "RowBlocks") -> "RowBlocks":
        if (self.arms, self.control) != (other.arms, other.control):
            raise ValueError(f"cannot add blocks of different arms: {self.arms} and {other.arms}")
        shared = set(self.whole) & set(other.whole) | set(self.pieces) & set(other.pieces)
        if shared:
            raise ValueError(f"cannot add the same rows twice: block or row {min(shared)}")
        whole = {**self.whole, **other.whole}
        pieces = {**self.pieces, **other.pieces}
        for number in sorted({first // BLOCK_NUM_ROWS for first in pieces}):
            firsts = sorted(first for first in pieces if first // BLOCK_NUM_ROWS == number)
            if sum(len(pieces[first]) for first in firsts) == BLOCK_NUM_ROWS:
                rows_RA = np.concatenate([pieces.pop(first) for first in firsts])
                whole[number] = _block_moments(rows_RA, self.arms, self.control)
        return RowBlocks(self.arms, self.control, MappingProxyType(whole), MappingProxyType(pieces))

    def total(self) -> Moments:
        """Moments of all rows; blocks are added in a binary tree in their order."""
        blocks = dict(self.whole)
        for number in sorted({first // BLOCK_NUM_ROWS for first in self.pieces}):
            firsts = sorted(first for first in self.pieces if first // BLOCK_NUM_ROWS == number)
            rows_RA = np.concatenate([self.pieces[first] for first in firsts])
            blocks[number] = _block_moments(rows_RA, self.arms, self.control)
        level = [blocks[number] for number in sorted(blocks)]
        if not level:
            raise ValueError("no rows to compute moments of")
        while len(level) > 1:
            pairs = [level[i] + level[i + 1] for i in range(0, len(level) - 1, 2)]
            level = pairs + level[2 * len(pairs) :]
        return level[0]


def blocks_of(scores_RA: Scores, *, first_row: int, arms: Sequence[str], control: int) -> RowBlocks:
    """Reduces a part of the rows to blocks.

    Args:
        scores_RA: Rows x arms, in the global order of rows.
        first_row: The position of the part's first row in the global order.
        arms: Names of the columns.
        control: Index of the control.
    """
    whole: dict[int, Moments] = {}
    pieces: dict[int, Scores] = {}
    end = first_row + len(scores_RA)
    at = first_row
    while at < end:
        number = at // BLOCK_NUM_ROWS
        stop = min(end, (number + 1) * BLOCK_NUM_ROWS)
        rows_RA = scores_RA[at - first_row : stop - first_row]
        if stop - at == BLOCK_NUM_ROWS:
            whole[number] = _block_moments(rows_RA, tuple(arms), control)
        else:
            pieces[at] = rows_RA
        at = stop
    return RowBlocks(tuple(arms), control, MappingProxyType(whole), MappingProxyType(pieces))


def _block_moments(scores_RA: Scores, arms: tuple[str, ...], control: int) -> Moments:
    """Two passes over one block. Sums run along contiguous memory, which NumPy adds pairwise and on one thread."""
    scores_AR = np.ascontiguousarray(scores_RA.T, dtype=np.float64)
    columns_YR = np.concatenate([scores_AR[control : control + 1], np.delete(scores_AR, control, axis=0)])
    scale_Y = np.abs(columns_YR).max(axis=1)
    columns_YR[1:] -= columns_YR[0]
    scale_Y[1:] = np.maximum(scale_Y[1:], scale_Y[0])
    shift_Y = columns_YR[:, 0].copy()
    columns_YR -= shift_Y[:, None]
    offset_Y = columns_YR.mean(axis=1)
    columns_YR -= offset_Y[:, None]
    num_columns = len(columns_YR)
    comoments_YY = np.empty((num_columns, num_columns))
    for i in range(num_columns):
        comoments_YY[i, i:] = (columns_YR[i] * columns_YR[i:]).sum(axis=1)
        comoments_YY[i:, i] = comoments_YY[i, i:]
    is_binary = bool(((scores_AR == 0) | (scores_AR == 1)).all())
    # Counts below 2**53 are exact in any order of addition, so a matrix product gives the same bits everywhere.
    ones_AA = (scores_AR @ scores_AR.T).astype(np.int64) if is_binary else None
    return Moments(
        arms=arms,
        control=control,
        num_rows=scores_RA.shape[0],
        shift_Y=shift_Y,
        offset_Y=offset_Y,
        comoments_YY=comoments_YY,
        scale_Y=scale_Y,
        ones_AA=ones_AA,
    )
