"""Samples: scores of every arm, rows x arms in one canonical order of rows, or an error that names the rows.

Axes: R rows, A arms, N lines of a long table (one line for each score).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from manifests.errors import did_you_mean
from stats.errors import SamplesError
from stats.moments import Floats, Scores

Column = pa.Array | pa.ChunkedArray | ArrayLike
"""One column of a table: Arrow, NumPy, pandas or a list."""

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
    names[None] = _no_segment(list(names.values()))
    return np.array([names[value] for value in values])


def _no_segment(names: Collection[str | None]) -> str:
    name = NO_SEGMENT
    while name in names:
        name = f"({name})"
    return name


def renumbered(clusters_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cluster numbers 0 to G - 1 with none unused, in the same order."""
    return np.unique(clusters_R, return_inverse=True)[1].astype(np.int64)


def from_wide(
    arms: Sequence[str],
    row_id: Column,
    scores_RA: ArrayLike | Sequence[Column],
    *,
    segment: Column | None = None,
    cluster: Column | None = None,
) -> Samples:
    """Samples from a table with a column for each arm.

    Args:
        arms: Names of the arms, in the order they are to be shown.
        row_id: Ids of the rows. Ids that stand there twice are repeats if every id stands there equally often.
        scores_RA: Rows x arms, or a sequence of one column for each arm. Null and NaN are missing.
        segment: Segment of each row.
        cluster: Cluster of each row.

    Raises:
        SamplesError: Arms or rows stand there twice, ids or clusters are null, or a score is infinite or out of range.
    """
    _check_arms(arms)
    if isinstance(scores_RA, np.ndarray):
        columns = [scores_RA[:, index] for index in range(scores_RA.shape[1])]
    else:
        columns = list(scores_RA)  # pyright: ignore[reportArgumentType]
    ids, dictionary = _ids(row_id)
    segments = None if segment is None else _segments(segment)
    clusters = None if cluster is None else _clusters(cluster)
    universe, place_R, repeats = _rows_of(ids, dictionary, arm=None)
    scores = np.empty((len(universe), len(columns)))
    for index, column in enumerate(columns):
        scores[:, index] = _averaged(_scores(column, arms[index]), place_R, len(universe), repeats)
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
    """Samples from a table with a line for each score.

    Args:
        arm: Arm of each line. A dictionary-encoded Arrow array is the cheapest form.
        row_id: Row of each line; None for unpaired scores without ids.
        score: Score of each line. Null and NaN are missing.
        segment: Segment of each line's row.
        cluster: Cluster of each line's row.
        order: Names of the arms in the order they are to be shown; None sorts them.
        paired: Whether a row is the same row in every arm. If not, ids only tell repeats from rows.

    Raises:
        SamplesError: A row stands there twice for one arm (unless every one stands there equally often: then they
            are repeats, and averaged), has two segments or clusters, or a score is infinite or out of range.
    """
    names, arm_N = _arm_codes(arm, order)
    score_N = _scores(score, "score")
    segment_N = None if segment is None else _segments(segment)
    cluster_N = None if cluster is None else _clusters(cluster)
    if row_id is None:
        return _without_ids(names, arm_N, score_N, segment_N, cluster_N)
    ids_N, dictionary = _ids(row_id)
    lines = [np.flatnonzero(arm_N == index) for index in range(len(names))]
    rows = [_rows_of(ids_N[at], dictionary, arm=name) for name, at in zip(names, lines, strict=True)]
    repeats = {found[2] for found in rows if len(found[0])}
    if not paired:
        return _without_shared_ids(names, lines, rows, score_N, segment_N, cluster_N)
    if len(repeats) > 1:
        few = min(range(len(rows)), key=lambda index: rows[index][2])
        many = max(range(len(rows)), key=lambda index: rows[index][2])
        raise SamplesError(
            f"arm '{names[many]}' has {rows[many][2]} scores for each row, arm '{names[few]}' has {rows[few][2]}",
            field="row_id",
            remedy="give every arm the same number of repeats for each row",
        )
    universe = rows[0][0]
    if any(not np.array_equal(found[0], universe) for found in rows[1:]):
        universe = np.unique(np.concatenate([found[0] for found in rows]))
    scores_RA = np.full((len(universe), len(names)), np.nan)
    segments_R = _Attribute("segment", segment_N, len(universe))
    clusters_R = _Attribute("cluster", cluster_N, len(universe))
    shown = _named(universe, dictionary)
    for index, (at, (own, place, count)) in enumerate(zip(lines, rows, strict=True)):
        to = slice(None) if len(own) == len(universe) else np.searchsorted(universe, own)
        scores_RA[to, index] = _averaged(score_N[at], place, len(own), count)
        row_N = place if isinstance(to, slice) else to[place]
        segments_R.put(row_N, at, shown)
        clusters_R.put(row_N, at, shown)
    refuse_out_of_range(scores_RA, names, shown)
    return Samples(
        arms=names,
        kept_RA=scores_RA,
        row_ids=shown,
        segments_R=segments_R.values(),
        clusters_R=_cluster_numbers(clusters_R.values()),
        num_repeats=max(repeats, default=1),
    )


def of_arms(scores: Mapping[str, ArrayLike], **columns: Column | None) -> Samples:
    """Samples from one array of scores for each arm, all in the same order of rows, numbered from 0."""
    arrays = [np.asarray(values, dtype=np.float64) for values in scores.values()]
    return from_wide(tuple(scores), np.arange(len(arrays[0])), arrays, **columns)


class _Attribute:
    """A value of the row that every line of the row must agree on."""

    def __init__(self, field: str, value_N: "_Coded | None", num_rows: int) -> None:
        self._field, self._value_N = field, value_N
        self._code_R = np.full(num_rows, -1, dtype=np.int64)

    def put(self, row_N: NDArray[np.int64], lines: NDArray[np.int64], shown: NDArray[Any]) -> None:
        if self._value_N is None:
            return
        code_N = self._value_N.codes[lines]
        before_N = self._code_R[row_N]
        self._code_R[row_N] = code_N
        # The second look catches two values for one row within the same arm.
        clash_N = ((before_N >= 0) & (before_N != code_N)) | (self._code_R[row_N] != code_N)
        if clash_N.any():
            row = row_N[np.flatnonzero(clash_N)[0]]
            raise SamplesError(
                f"a row has two different values of '{self._field}'",
                place=f"row {shown[row]}",
                field=self._field,
                remedy=f"give each row one {self._field}",
            )

    def codes(self) -> NDArray[np.int64]:
        return self._code_R

    def values(self) -> "NDArray[Any] | None":
        return None if self._value_N is None else self._value_N.names[self._code_R]


@dataclass(frozen=True)
class _Coded:
    """Values as numbers of their sorted names."""

    codes: NDArray[np.int64]
    names: NDArray[Any]


def _array(column: Column) -> Any:
    """The column as one Arrow array (whose stubs know neither dictionaries nor chunks of them: hence Any)."""
    if isinstance(column, pa.ChunkedArray):
        whole = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
        return whole.combine_chunks()
    return column if isinstance(column, pa.Array) else pa.array(cast("Any", column), from_pandas=True)


def _coded(column: Column) -> _Coded:
    """Numbers of the sorted distinct values; -1 for null."""
    array = _array(column)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values = array.dictionary
    order = pc.sort_indices(values).to_numpy(zero_copy_only=False)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    codes = np.where(indices < 0, -1, rank[indices]) if len(rank) else np.full(len(array), -1)
    names = values.take(pa.array(order)).to_numpy(zero_copy_only=False)
    if len(names) > 1 and (names[1:] == names[:-1]).any():  # a dictionary may hold a value twice
        return _coded(array.cast(values.type))
    return _Coded(codes=codes.astype(np.int64, copy=False), names=names)


def _check_arms(arms: Sequence[str]) -> None:
    if not arms:
        raise SamplesError("there is no arm", field="arm", remedy="name at least the control")
    twice = sorted({name for name in arms if list(arms).count(name) > 1})
    if twice:
        raise SamplesError("an arm stands there twice", field="arm", value=twice[0], remedy="name each arm once")


def _arm_codes(arm: Column, order: Sequence[str] | None) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    coded = _coded(arm)
    if (coded.codes < 0).any():
        line = int(np.flatnonzero(coded.codes < 0)[0])
        raise SamplesError("a line names no arm", place=f"line {line + 1} of the scores", field="arm")
    found = tuple(str(name) for name in coded.names)
    names = found if order is None else tuple(order)
    _check_arms(names)
    unknown = [name for name in found if name not in names]
    if unknown:
        raise SamplesError(
            "scores of an arm that was not asked for",
            field="arm",
            value=unknown[0],
            remedy=did_you_mean(unknown[0], list(names)),
        )
    to = np.array([names.index(name) for name in found], dtype=np.int16)
    return names, to[coded.codes]


def _scores(column: Column, field: str) -> NDArray[np.float64]:
    array = _array(column)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type) or pa.types.is_null(array.type)):
        raise SamplesError(
            "scores are not numbers", field=field, value=str(array.type), bound="a column of numbers or booleans"
        )
    return array.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _ids(column: Column) -> tuple[NDArray[np.int64], NDArray[Any] | None]:
    """Row ids as numbers that sort as the ids do, and the ids that belong to them where they are not numbers."""
    array = _array(column)
    if array.null_count:
        line = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise SamplesError("a row has no id", place=f"line {line + 1} of the scores", field="row_id")
    if pa.types.is_integer(array.type) and array.type != pa.uint64():
        return array.cast(pa.int64()).to_numpy(zero_copy_only=False), None
    coded = _coded(array)
    return coded.codes, coded.names


def _segments(column: Column) -> _Coded:
    array = _array(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if not pa.types.is_null(array.type) and (pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        array = pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    array = array.cast(pa.string())
    return _coded(array.fill_null(_no_segment(array.unique().to_pylist())) if array.null_count else array)


def _clusters(column: Column) -> _Coded:
    coded = _coded(column)
    if (coded.codes < 0).any():
        line = int(np.flatnonzero(coded.codes < 0)[0])
        raise SamplesError(
            "a row names no cluster",
            place=f"line {line + 1} of the scores",
            field="cluster",
            remedy="give rows that belong to no cluster a cluster of their own",
        )
    return _Coded(codes=coded.codes, names=np.arange(len(coded.names)))


def _cluster_numbers(clusters_R: NDArray[Any] | None) -> NDArray[np.int64] | None:
    return None if clusters_R is None else renumbered(clusters_R)


def _named(universe: NDArray[np.int64], dictionary: NDArray[Any] | None) -> NDArray[Any]:
    return universe if dictionary is None else dictionary[universe]


def _rows_of(
    ids: NDArray[np.int64], dictionary: NDArray[Any] | None, *, arm: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The distinct ids in order, the place of each line among them, and how often every one of them stands there.

    Raises:
        SamplesError: Some stand there more often than others.
    """
    if len(ids) < 2 or (ids[1:] > ids[:-1]).all():
        return ids, np.arange(len(ids)), 1
    universe, place, counts = np.unique(ids, return_inverse=True, return_counts=True)
    repeats = int(counts.max())
    if (counts != repeats).any():
        row = _named(universe, dictionary)[int(np.argmax(counts))]
        raise SamplesError(
            f"the row stands there {repeats} times, others {int(counts.min())} times",
            place=f"row {row}" if arm is None else f"arm '{arm}', row {row}",
            field="row_id",
            remedy="remove the duplicates; repeats are averaged if every row has the same number of them",
        )
    return universe, place.astype(np.int64), repeats


def _averaged(
    scores: NDArray[np.float64], place: NDArray[np.int64], num_rows: int, repeats: int
) -> NDArray[np.float64]:
    """Mean of each row's repeats, added in ascending order so that the order of lines never shows."""
    if repeats == 1:
        averaged = np.empty(num_rows)
        averaged[place] = scores
        return averaged
    return np.sort(scores[np.argsort(place, kind="stable")].reshape(num_rows, repeats), axis=1).mean(axis=1)


def _one_per_row(
    coded: _Coded | None,
    place_N: NDArray[np.int64],
    universe: NDArray[np.int64],
    dictionary: NDArray[Any] | None,
    field: str,
) -> NDArray[Any] | None:
    attribute = _Attribute(field, coded, len(universe))
    attribute.put(place_N, np.arange(len(place_N)), _named(universe, dictionary))
    return attribute.values()


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


def _without_shared_ids(
    names: tuple[str, ...],
    lines: list[NDArray[np.int64]],
    rows: "list[tuple[NDArray[np.int64], NDArray[np.int64], int]]",
    score_N: NDArray[np.float64],
    segment_N: _Coded | None,
    cluster_N: _Coded | None,
) -> Samples:
    """Unpaired scores with ids: repeats of a row are averaged, then the ids have done their work."""
    counts = [len(own) for own, _, _ in rows]
    scores = [
        _averaged(score_N[at], place, len(own), times) for at, (own, place, times) in zip(lines, rows, strict=True)
    ]
    coded: list[_Coded | None] = []
    for field, value_N in (("segment", segment_N), ("cluster", cluster_N)):
        codes = []
        for at, (own, place, _) in zip(lines, rows, strict=True):
            attribute = _Attribute(field, value_N, len(own))
            attribute.put(place, at, own)
            codes.append(attribute.codes())
        coded.append(None if value_N is None else _Coded(np.concatenate(codes), value_N.names))
    made = _without_ids(names, np.repeat(np.arange(len(names), dtype=np.int16), counts), np.concatenate(scores), *coded)
    return replace(made, num_repeats=max(times for _, _, times in rows))


def _without_ids(
    names: tuple[str, ...],
    arm_N: NDArray[np.int16],
    score_N: NDArray[np.float64],
    segment_N: _Coded | None,
    cluster_N: _Coded | None,
) -> Samples:
    """Unpaired scores. Their order carries no meaning, so they are sorted: equal scores, equal bits."""
    if segment_N is not None or cluster_N is not None:
        keys = [np.nan_to_num(score_N, nan=np.inf), arm_N]
        keys += [coded.codes for coded in (segment_N, cluster_N) if coded is not None]
        order = np.lexsort(keys)
        scores_RA = np.full((len(order), len(names)), np.nan)
        scores_RA[np.arange(len(order)), arm_N[order]] = score_N[order]
        missing = np.bincount(arm_N[np.isnan(score_N)], minlength=len(names))
        made = Samples(
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
        made = Samples(
            arms=names,
            kept_RA=scores_RA,
            row_ids=np.arange(len(scores_RA)),
            num_missing_A=np.array([np.isnan(column).sum() for column in columns], dtype=np.int64),
        )
    refuse_out_of_range(made.scores_RA, names, made.row_ids)
    return made
