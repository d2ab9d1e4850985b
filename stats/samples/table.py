"""Reads tables of scores made elsewhere: csv or parquet, long or wide, as the plan's `columns` describe them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from assay.manifests.errors import did_you_mean
from assay.manifests.plan import Plan
from assay.stats.errors import SamplesError
from assay.stats.samples.columns import from_long, from_wide
from assay.stats.samples.samples import Samples

_CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_PARQUET = (".parquet", ".pq")
_NO_SCORE = ["", "NA", "N/A", "NULL", "null", "None", "none", "-"]


def is_table(name: str) -> bool:
    """Whether a file's name ends like a table that `read_scores` reads."""
    return name.lower().endswith((*_CSV, *_PARQUET))


def read_scores(path: str | Path, plan: Plan) -> Samples:
    """Reads a table of scores.

    Args:
        path: A csv or tsv (also gzipped) or parquet file.
        plan: The plan: its columns, design, scale and rule for missing scores.

    Returns:
        The samples. Arms are in the order of a wide table's columns; those of a long table are sorted by name.

    Raises:
        SamplesError: The file cannot be read, or the plan cannot be applied to it. The message names file, column,
            line and value.
    """
    place = str(path)
    columns = plan.columns
    table = _read(place)
    named = [columns.arm, columns.score] if columns.arms is None else []
    named += columns.arms if isinstance(columns.arms, tuple) else ()
    named += [name for name in (columns.row, columns.segment, columns.cluster) if name is not None]
    _check_columns(table, named, place, is_wide=columns.arms is not None)
    if table.num_rows == 0:
        raise SamplesError("the table has no rows", place=place)
    try:
        samples = _long(table, plan, place) if columns.arms is None else _wide(table, plan, place)
        samples.index(plan.control)
    except SamplesError as error:
        if error.place.startswith(place):
            raise
        raise error.within(place) from None
    except pa.ArrowException as error:  # such as bytes that are not UTF-8 in a column of names
        first = str(error).partition("\n")[0]
        raise SamplesError(f"a column cannot be read: {first}", place=place, remedy="save the file as UTF-8") from None
    if samples.num_rows < 2:
        raise SamplesError(
            "the table has only one row per arm", place=place, bound="at least two", remedy="one row shows no variation"
        )
    return samples


def _read(place: str) -> pa.Table:
    try:
        exists, is_file = Path(place).exists(), Path(place).is_file()
    except OSError as error:
        raise SamplesError(f"the file cannot be read: {error.strerror}", place=place) from None
    if not is_file:
        raise SamplesError("this is not a file" if exists else "file not found", place=place)
    lowered = place.lower()
    try:
        if lowered.endswith(_CSV):
            delimiter = "\t" if ".tsv" in lowered else ","
            return csv.read_csv(
                place,
                parse_options=csv.ParseOptions(delimiter=delimiter),
                # An id or a segment may be named NA or null, so only an empty cell counts as missing.
                convert_options=csv.ConvertOptions(null_values=[""], strings_can_be_null=True),
            )
        if lowered.endswith(_PARQUET):
            return parquet.read_table(place, partitioning=None)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        kind = "csv" if lowered.endswith(_CSV) else "parquet"
        raise SamplesError(f"not a {kind} table: {str(error).splitlines()[0]}", place=place) from None
    raise SamplesError(
        "unknown file extension for a table of scores",
        place=place,
        bound=", ".join((*_CSV, *_PARQUET)),
    )


def _check_columns(table: pa.Table, named: Sequence[str], place: str, *, is_wide: bool) -> None:
    duplicates = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if duplicates:
        raise SamplesError(
            "two columns have the same name", place=place, field=duplicates[0], remedy="rename one of them"
        )
    for name in named:
        if name not in table.column_names:
            remedy = did_you_mean(name, table.column_names)
            if not is_wide and name == named[0]:
                remedy += "; if the table has one column per arm, set 'columns: {arms: \"*\"}' in the plan"
            raise SamplesError(
                "the table has no such column",
                place=place,
                field="columns",
                value=f"'{name}'",
                remedy=remedy.lstrip("; "),
            )


def _long(table: pa.Table, plan: Plan, place: str) -> Samples:
    columns = plan.columns
    arm = table[columns.arm]
    if not pa.types.is_dictionary(arm.type):
        arm = arm.cast(pa.string())
    score = _numbers(table[columns.score], columns.score, place)
    row = None if columns.row is None else table[columns.row]
    _check_scores(score, columns.score, plan, place, row=row)
    return from_long(
        arm,
        row,
        score,
        segment=None if columns.segment is None else table[columns.segment],
        cluster=None if columns.cluster is None else table[columns.cluster],
        paired=plan.design == "paired",
    )


def _wide(table: pa.Table, plan: Plan, place: str) -> Samples:
    columns = plan.columns
    others = {columns.row, columns.segment, columns.cluster}
    listed = columns.arms if isinstance(columns.arms, tuple) else table.column_names
    arms = tuple(name for name in listed if name not in others)
    scores = [_numbers(table[arm], arm, place) for arm in arms]
    if plan.design == "paired":
        for arm, score in zip(arms, scores, strict=True):
            assert columns.row is not None
            _check_scores(score, arm, plan, place, row=table[columns.row])
        assert columns.row is not None
        return from_wide(
            arms,
            table[columns.row],
            scores,
            segment=None if columns.segment is None else table[columns.segment],
            cluster=None if columns.cluster is None else table[columns.cluster],
        )
    return _wide_unpaired(table, plan, place, dict(zip(arms, scores, strict=True)))


def _wide_unpaired(table: pa.Table, plan: Plan, place: str, scores: dict[str, pa.ChunkedArray]) -> Samples:
    """One column per arm, unpaired: columns may differ in length, so an empty cell is not a row."""
    present = {arm: pc.is_valid(pc.if_else(pc.is_nan(score), None, score)) for arm, score in scores.items()}
    lines = {arm: score.filter(present[arm]) for arm, score in scores.items()}
    for arm, score in lines.items():
        _check_scores(score, arm, plan, place, row=None)

    def stacked(name: str | None) -> pa.ChunkedArray | None:
        if name is None:
            return None
        return pa.chunked_array(
            [chunk for arm in scores for chunk in table[name].filter(present[arm]).chunks], type=table[name].type
        )

    names = np.repeat(np.array(list(scores), dtype=object), [len(score) for score in lines.values()])
    return from_long(
        pa.array(names, pa.string()),
        None,
        pa.concat_arrays([chunk for score in lines.values() for chunk in score.chunks]),
        segment=stacked(plan.columns.segment),
        cluster=stacked(plan.columns.cluster),
        order=list(scores),
        paired=False,
    )


def _numbers(column: pa.ChunkedArray, name: str, place: str) -> pa.ChunkedArray:
    """The column as float64. Text is accepted if every value is a number, such as ` 0.5`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind):
        return column.cast(pa.int8()).cast(pa.float64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parsed(column, name, place)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return column.cast(pa.float64())
    raise SamplesError(
        "scores are not numbers",
        place=place,
        field=name,
        value=str(kind),
        bound="numbers or booleans",
        remedy="name the column that holds scores, or name this one as row, segment or cluster",
    )


def _parsed(column: pa.ChunkedArray, name: str, place: str) -> pa.ChunkedArray:
    """Parses text as numbers; the usual placeholders for a missing score (NA, null, -, ...) become null."""
    trimmed = pc.utf8_trim_whitespace(column)
    texts = pc.if_else(pc.is_in(trimmed, value_set=pa.array(_NO_SCORE, trimmed.type)), None, trimmed)
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        line, text = next((line, text) for line, text in enumerate(texts.to_pylist(), start=1) if not _is_number(text))
        raise SamplesError(
            "a score is not a number",
            place=f"{place}: data line {line}",
            field=name,
            value=text,
            bound="a number, or an empty cell for a missing score",
            remedy="if this column is not an arm, name it as row, segment or cluster, or leave it out of columns.arms",
        ) from None


def _is_number(text: str | None) -> bool:
    try:
        pa.scalar(text, pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _check_scores(score: pa.ChunkedArray, name: str, plan: Plan, place: str, *, row: pa.ChunkedArray | None) -> None:
    """Raises SamplesError for scores that the plan does not allow; names the first rows and lines of the file."""
    values = score.to_numpy()
    if plan.missing == "refuse" and np.isnan(values).any():
        lines = np.flatnonzero(np.isnan(values))
        named = ", ".join(_line(int(line), row) for line in lines[:5]) + (", ..." if len(lines) > 5 else "")
        raise SamplesError(
            f"{len(lines)} of {len(values)} scores are missing or not a number: {named}",
            place=place,
            field=name,
            bound="a number in every line, because the plan says 'missing: refuse'",
            remedy="score these rows, or set 'missing: worst' or 'missing: listwise' in the plan",
        )
    if plan.scale == "binary":
        other = np.flatnonzero(~((values == 0) | (values == 1) | np.isnan(values)))
        if len(other):
            raise SamplesError(
                f"{len(other)} of {len(values)} scores are neither 0 nor 1",
                place=f"{place}: {_line(int(other[0]), row)}",
                field=name,
                value=float(values[other[0]]),
                bound="0 or 1, because the plan says 'scale: binary'",
                remedy="set 'scale: continuous' in the plan if scores lie between 0 and 1",
            )


def _line(index: int, row: pa.ChunkedArray | None) -> str:
    return f"data line {index + 1}" if row is None else f"row {row[index].as_py()} (data line {index + 1})"
