"""Samples from columns: a long table has one line per score, a wide table one column per arm.

Axes: R rows, A arms, N lines of a long table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.stats.errors import SamplesError
from assay.stats.samples import column_codes
from assay.stats.samples.column_codes import Coded, Column
from assay.stats.samples.samples import Samples, refuse_out_of_range, renumbered


def from_wide(
    arms: Sequence[str],
    row_id: Column,
    scores_RA: ArrayLike | Sequence[Column],
    *,
    segment: Column | None = None,
    cluster: Column | None = None,
) -> Samples:
    """Builds samples from a table with one column per arm.

    Args:
        arms: Names of the arms, in display order.
        row_id: Ids of the rows. Duplicate ids are repeats if every id occurs equally often.
        scores_RA: Rows x arms, or a sequence of one column per arm. Null and NaN are missing.
        segment: Segment of each row.
        cluster: Cluster of each row.

    Raises:
        SamplesError: Arms or rows are duplicated, ids or clusters are null, or a score is infinite or out of range.
    """
    column_codes.check_arms(arms)
    if isinstance(scores_RA, np.ndarray):
        columns = [scores_RA[:, index] for index in range(scores_RA.shape[1])]
    else:
        columns = list(scores_RA)  # pyright: ignore[reportArgumentType]
    ids, dictionary = column_codes.row_ids_of(row_id)
    segments = None if segment is None else column_codes.segments_of(segment)
    clusters = None if cluster is None else column_codes.clusters_of(cluster)
    universe, place_R, repeats = _rows_of(ids, dictionary, arm=None)
    scores = np.empty((len(universe), len(columns)))
    for index, column in enumerate(columns):
        scores[:, index] = _averaged(column_codes.scores_of(column, arms[index]), place_R, len(universe), repeats)
    refuse_out_of_range(scores, tuple(arms), _named(universe, dictionary))
    return Samples(
        arms=tuple(arms),
        kept_RA=scores,
        row_ids=_named(universe, dictionary),
        segments_R=_one_per_row(segments, place_R, universe, dictionary, "segment"),
        clusters_R=_cluster_numbers(_one_per_row(clusters, place_R, universe, dictionary, "cluster")),
        num_repeats=repeats,
    )


def from_long(
    arm: Column,
    row_id: Column | None,
    score: Column,
    *,
    segment: Column | None = None,
    cluster: Column | None = None,
    order: Sequence[str] | None = None,
    paired: bool = True,
) -> Samples:
    """Builds samples from a table with one line per score.

    Args:
        arm: Arm of each line. A dictionary-encoded Arrow array is the cheapest form.
        row_id: Row of each line; None for unpaired scores without ids.
        score: Score of each line. Null and NaN are missing.
        segment: Segment of each line's row.
        cluster: Cluster of each line's row.
        order: Names of the arms in display order; None sorts them.
        paired: Whether a row id means the same row in every arm. If not, ids only distinguish repeats from rows.

    Raises:
        SamplesError: A row occurs more often than others in one arm (rows that all occur equally often are repeats
            and are averaged), a row has two segments or clusters, or a score is infinite or out of range.
    """
    names, arm_N = column_codes.arm_codes(arm, order)
    score_N = column_codes.scores_of(score, "score")
    segment_N = None if segment is None else column_codes.segments_of(segment)
    cluster_N = None if cluster is None else column_codes.clusters_of(cluster)
    if row_id is None:
        return _without_ids(names, arm_N, score_N, segment_N, cluster_N)
    ids_N, dictionary = column_codes.row_ids_of(row_id)
    lines = [np.flatnonzero(arm_N == index) for index in range(len(names))]
    rows = [_rows_of(ids_N[at], dictionary, arm=name) for name, at in zip(names, lines, strict=True)]
    repeats = {count for own, _, count in rows if len(own)}
    if not paired:
        return _without_shared_ids(names, lines, rows, score_N, segment_N, cluster_N)
    if len(repeats) > 1:
        few = min(range(len(rows)), key=lambda index: rows[index][2])
        many = max(range(len(rows)), key=lambda index: rows[index][2])
        raise SamplesError(
            f"arm '{names[many]}' has {rows[many][2]} scores per row, arm '{names[few]}' has {rows[few][2]}",
            field="row_id",
            remedy="score every row equally often in every arm",
        )
    universe = rows[0][0]
    if any(not np.array_equal(own, universe) for own, _, _ in rows[1:]):
        universe = np.unique(np.concatenate([own for own, _, _ in rows]))
    scores_RA = np.full((len(universe), len(names)), np.nan)
    segments_R = _Attribute("segment", segment_N, len(universe))
    clusters_R = _Attribute("cluster", cluster_N, len(universe))
    ids = _named(universe, dictionary)
    for index, (at, (own, place, count)) in enumerate(zip(lines, rows, strict=True)):
        to = slice(None) if len(own) == len(universe) else np.searchsorted(universe, own)
        scores_RA[to, index] = _averaged(score_N[at], place, len(own), count)
        row_N = place if isinstance(to, slice) else to[place]
        segments_R.put(row_N, at, ids)
        clusters_R.put(row_N, at, ids)
    refuse_out_of_range(scores_RA, names, ids)
    return Samples(
        arms=names,
        kept_RA=scores_RA,
        row_ids=ids,
        segments_R=segments_R.values(),
        clusters_R=_cluster_numbers(clusters_R.values()),
        num_repeats=max(repeats, default=1),
    )


def of_arms(scores: Mapping[str, ArrayLike], **columns: Column | None) -> Samples:
    """Builds samples from one array of scores per arm, all in the same order of rows; row ids count from 0."""
    arrays = [np.asarray(values, dtype=np.float64) for values in scores.values()]
    return from_wide(tuple(scores), np.arange(len(arrays[0])), arrays, **columns)


class _Attribute:
    """A value of the row on which all lines of the row must agree."""

    def __init__(self, field: str, value_N: "Coded | None", num_rows: int) -> None:
        self._field, self._value_N = field, value_N
        self._code_R = np.full(num_rows, -1, dtype=np.int64)

    def put(self, row_N: NDArray[np.int64], lines: NDArray[np.int64], ids: NDArray[Any]) -> None:
        if self._value_N is None:
            return
        code_N = self._value_N.codes[lines]
        before_N = self._code_R[row_N]
        self._code_R[row_N] = code_N
        # The second condition catches two values for one row within the same arm.
        clash_N = ((before_N >= 0) & (before_N != code_N)) | (self._code_R[row_N] != code_N)
        if clash_N.any():
            row = row_N[np.flatnonzero(clash_N)[0]]
            raise SamplesError(
                f"a row has two different values of '{self._field}'",
                place=f"row {ids[row]}",
                field=self._field,
                remedy=f"give each row one {self._field}",
            )

    def codes(self) -> NDArray[np.int64]:
        return self._code_R

    def values(self) -> "NDArray[Any] | None":
        return None if self._value_N is None else self._value_N.names[self._code_R]


def _cluster_numbers(clusters_R: NDArray[Any] | None) -> NDArray[np.int64] | None:
    return None if clusters_R is None else renumbered(clusters_R)


def _named(universe: NDArray[np.int64], dictionary: NDArray[Any] | None) -> NDArray[Any]:
    return universe if dictionary is None else dictionary[universe]


def _rows_of(
    ids: NDArray[np.int64], dictionary: NDArray[Any] | None, *, arm: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The distinct ids in order, the index of each line's id among them, and how often each id occurs.

    Raises:
        SamplesError: Some ids occur more often than others.
    """
    if len(ids) < 2 or (ids[1:] > ids[:-1]).all():
        return ids, np.arange(len(ids)), 1
    universe, place, counts = np.unique(ids, return_inverse=True, return_counts=True)
    repeats = int(counts.max())
    if (counts != repeats).any():
        row = _named(universe, dictionary)[int(np.argmax(counts))]
        raise SamplesError(
            f"the row occurs {repeats} times, other rows {int(counts.min())} times",
            place=f"row {row}" if arm is None else f"arm '{arm}', row {row}",
            field="row_id",
            remedy="remove the duplicates; repeats are averaged only if every row has the same number of them",
        )
    return universe, place.astype(np.int64), repeats


def _averaged(
    scores: NDArray[np.float64], place: NDArray[np.int64], num_rows: int, repeats: int
) -> NDArray[np.float64]:
    """Mean of each row's repeats, summed in ascending order so that the order of lines does not matter."""
    if repeats == 1:
        averaged = np.empty(num_rows)
        averaged[place] = scores
        return averaged
    return np.sort(scores[np.argsort(place, kind="stable")].reshape(num_rows, repeats), axis=1).mean(axis=1)


def _one_per_row(
    coded: Coded | None,
    place_N: NDArray[np.int64],
    universe: NDArray[np.int64],
    dictionary: NDArray[Any] | None,
    field: str,
) -> NDArray[Any] | None:
    attribute = _Attribute(field, coded, len(universe))
    attribute.put(place_N, np.arange(len(place_N)), _named(universe, dictionary))
    return attribute.values()


def _without_shared_ids(
    names: tuple[str, ...],
    lines: list[NDArray[np.int64]],
    rows: "list[tuple[NDArray[np.int64], NDArray[np.int64], int]]",
    score_N: NDArray[np.float64],
    segment_N: Coded | None,
    cluster_N: Coded | None,
) -> Samples:
    """Unpaired scores with ids: repeats of a row are averaged, then the ids are dropped."""
    counts = [len(own) for own, _, _ in rows]
    scores = [
        _averaged(score_N[at], place, len(own), times) for at, (own, place, times) in zip(lines, rows, strict=True)
    ]
    coded: list[Coded | None] = []
    for field, value_N in (("segment", segment_N), ("cluster", cluster_N)):
        codes = []
        for at, (own, place, _) in zip(lines, rows, strict=True):
            attribute = _Attribute(field, value_N, len(own))
            attribute.put(place, at, own)
            codes.append(attribute.codes())
        coded.append(None if value_N is None else Coded(np.concatenate(codes), value_N.names))
    samples = _without_ids(
        names, np.repeat(np.arange(len(names), dtype=np.int16), counts), np.concatenate(scores), *coded
    )
    return replace(samples, num_repeats=max(times for _, _, times in rows))


def _without_ids(
    names: tuple[str, ...],
    arm_N: NDArray[np.int16],
    score_N: NDArray[np.float64],
    segment_N: Coded | None,
    cluster_N: Coded | None,
) -> Samples:
    """Unpaired scores. Their order means nothing, so they are sorted: the same scores give the same bits."""
    if segment_N is not None or cluster_N is not None:
        keys = [np.nan_to_num(score_N, nan=np.inf), arm_N]
        keys += [coded.codes for coded in (segment_N, cluster_N) if coded is not None]
        order = np.lexsort(keys)
        scores_RA = np.full((len(order), len(names)), np.nan)
        scores_RA[np.arange(len(order)), arm_N[order]] = score_N[order]
        missing = np.bincount(arm_N[np.isnan(score_N)], minlength=len(names))
        samples = Samples(
            arms=names,
            kept_RA=scores_RA,
            row_ids=np.arange(len(order)),
            segments_R=None if segment_N is None else segment_N.names[segment_N.codes[order]],
            clusters_R=None if cluster_N is None else renumbered(cluster_N.codes[order]),
            num_missing_A=missing.astype(np.int64),
        )
    else:
        columns = [np.sort(score_N[arm_N == index]) for index in range(len(names))]  # NaN sorts last
        scores_RA = np.full((max(map(len, columns)), len(names)), np.nan)
        for index, column in enumerate(columns):
            scores_RA[: len(column), index] = column
        samples = Samples(
            arms=names,
            kept_RA=scores_RA,
            row_ids=np.arange(len(scores_RA)),
            num_missing_A=np.array([np.isnan(column).sum() for column in columns], dtype=np.int64),
        )
    refuse_out_of_range(samples.scores_RA, names, samples.row_ids)
    return samples
