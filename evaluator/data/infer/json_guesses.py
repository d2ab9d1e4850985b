"""Guesses from JSON lines: the type of each field of all their objects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assay.evaluator.data.infer.guess import BOOL, FLOAT, INT, Guess
from assay.evaluator.data.infer.text_guesses import fits, text_lines
from assay.evaluator.errors import DataError
from assay.manifests.contract import Encoding


def guesses_of_json(path: Path, encoding: Encoding) -> dict[str, Guess]:
    """The fields of all objects of a file of JSON lines, with a guess for each.

    Raises:
        DataError: A line is not a JSON object.
    """
    kinds: dict[str, set[Any]] = {}
    for number, line in enumerate(text_lines(path, encoding), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"not JSON ({error})", place=f"{path.name}:{number}") from None
        except RecursionError:
            raise DataError("nested too deeply", place=f"{path.name}:{number}") from None
        if not isinstance(row, dict):
            raise DataError("not an object", place=f"{path.name}:{number}", remedy="each line is one row: {...}")
        for name, value in row.items():
            kinds.setdefault(name, set())
            if value is not None and len(kinds[name]) < 10:
                kinds[name].add(_json_kind(value))
    guessed = {name: _of_kinds(each) for name, each in kinds.items()}
    texts = [name for name, guess in guessed.items() if guess.type == "string"]
    candidates = {name: ["date", "timestamp"] if kinds[name] else [] for name in texts}
    for line in text_lines(path, encoding) if texts else ():
        row = json.loads(line) if line.strip() else {}
        for name in texts:
            if candidates[name] and isinstance(value := row.get(name), str):
                candidates[name] = [kind for kind in candidates[name] if fits(pa.array([value]), kind)]
    return guessed | {
        name: Guess(candidates[name][0] if candidates[name] else "string", note=guessed[name].note) for name in texts
    }


def _json_kind(value: Any) -> Any:
    """The kind of a JSON value: a type's name, `(element, shape)` of a tensor, or a description of what fits no type."""
    if isinstance(value, list):
        try:
            array = np.array(value)
        except ValueError:
            return "lists of different lengths"
        element = {"b": BOOL, "i": INT, "f": FLOAT}.get(array.dtype.kind)
        return (element, array.shape) if element and array.size else "lists of other values than numbers"
    if isinstance(value, dict):
        return "objects"
    if isinstance(value, str) and not _is_unicode(value):
        return "texts with half of a surrogate pair"
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return "integers outside int64"
    return {bool: BOOL, int: INT, float: FLOAT, str: "string"}[type(value)]


def _is_unicode(text: str) -> bool:
    """Whether a text can be stored: JSON may contain half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_kinds(kinds: set[Any]) -> Guess:
    if not kinds:
        return Guess("string", note="missing in every row")
    if kinds == {INT, FLOAT}:
        return Guess(FLOAT)
    shapes = {kind[1] if isinstance(kind, tuple) else () for kind in kinds}
    elements = {kind[0] if isinstance(kind, tuple) else kind for kind in kinds}
    if len(shapes) == 1 and (len(elements) == 1 or elements == {INT, FLOAT}):
        element = FLOAT if len(elements) == 2 else elements.pop()
        return Guess(element, shapes.pop()) if " " not in element and element != "objects" else Guess("", note=element)
    return Guess("", note="values of different kinds: " + ", ".join(sorted(str(kind) for kind in kinds)))
