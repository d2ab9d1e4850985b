"""Text values: lossless conversion of a column of texts, such as csv cells or the numbers of JSON, to a scalar type.

Where all texts are valid, one vectorised cast converts them; otherwise they are read cell by cell: that code decides
what is accepted, and names the offenders.
"""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest import dates
from assay.evaluator.data.ingest.arrow_schema import SCALARS
from assay.evaluator.data.ingest.chunk import Converted, Refusal

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE
)
_BOOLS = ("true", "false", "1", "0")

Problem = tuple[str, str]
"""What is wrong with a value, and what would be accepted."""


def from_texts(texts: pa.Array, *, type_name: str, form: str = "") -> Converted:
    """Converts texts; nulls stay null.

    An integer is written in decimal digits without leading zeros; a float in decimal notation, rounded to the nearest
    value of the type; a bool as true, false, 1 or 0. NaN and infinity are converted, so that the check can refuse them
    by name. Dates and timestamps are converted by `dates`.

    Args:
        texts: The texts, a string array of shape (rows,).
        type_name: The scalar type's name in a contract.
        form: The format of dates and timestamps, in the syntax of `strptime`; empty: ISO 8601.
    """
    if dates.is_moment(type_name):
        return dates.from_texts(texts, type_name=type_name, form=form)
    target = SCALARS[type_name]
    if type_name == "string":
        return Converted(texts)
    try:
        array = texts.cast(target)
    except pa.ArrowInvalid:
        return _cell_by_cell(texts, type_name)
    # The cast also accepts '007' and '0x1F' as integers: only texts that survive the round trip are integers.
    if pa.types.is_integer(target) and not _all(pc.equal(array.cast(pa.string()), texts)):
        return _cell_by_cell(texts, type_name)
    return Converted(array)


def _all(mask: pa.Array) -> bool:
    return pc.all(mask).as_py() is not False


def _cell_by_cell(texts: pa.Array, type_name: str) -> Converted:
    target = SCALARS[type_name]
    problem_of = _rule(type_name, target)
    kept: list[str | None] = []
    refusals: list[Refusal] = []
    for row, text in enumerate(texts.to_pylist()):
        problem = None if text is None else problem_of(text)
        if problem:
            refusals.append(Refusal(row, problem[0], text, problem[1]))
        is_zero = problem or (text == "-0" and pa.types.is_integer(target))  # Arrow does not cast -0 to unsigned types
        kept.append("0" if is_zero else text)
    return Converted(pa.array(kept, pa.string()).cast(target), tuple(refusals))


def _rule(type_name: str, target: pa.DataType) -> Callable[[str], Problem | None]:
    if pa.types.is_integer(target):
        limits = np.iinfo(type_name)
        bound = f"{limits.min} to {limits.max}"

        def integer(text: str) -> Problem | None:
            if not _INTEGER.fullmatch(text):
                return "not a whole number", "decimal digits without leading zeros"
            # Python refuses to convert thousands of digits, so the length is checked first.
            if len(text) > 20 or not limits.min <= int(text) <= limits.max:
                return f"outside the range of {type_name}", bound
            return None

        return integer
    if pa.types.is_floating(target):
        return lambda text: None if _NUMBER.fullmatch(text) else (f"not a number of type {type_name}", "decimal text")
    return lambda text: None if text.lower() in _BOOLS else ("not a bool", ", ".join(_BOOLS))
