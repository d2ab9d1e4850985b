"""Types: which columns files have, and the narrowest type that loses nothing of what all their rows hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.evaluator.data.infer.arrow_guesses import guesses_of_arrow
from assay.evaluator.data.infer.guess import FLOAT, INT, Guess
from assay.evaluator.data.infer.json_guesses import guesses_of_json
from assay.evaluator.data.infer.text_guesses import guesses_of_texts, require_names
from assay.evaluator.data.ingest.source import format_of, is_delimited, require_source
from assay.evaluator.errors import DataError
from assay.manifests.contract import Encoding


def guesses(paths: Sequence[Path], encoding: Encoding) -> dict[str, Guess]:
    """The columns of some files, in order, and what each seems to be.

    Raises:
        DataError: A file cannot be read, or files have different columns.
    """
    found: dict[str, Guess] = {}
    for path in paths:
        require_source(path)
    kinds = {path: format_of(path)[0] for path in paths}
    texts = [path for path in kinds if is_delimited(path)]
    groups = [guesses_of_texts(texts, encoding)] if texts else []
    for path, kind in kinds.items():
        if kind == "jsonl":
            groups.append(guesses_of_json(path, encoding))
        elif kind in ("parquet", "ipc"):
            groups.append(guesses_of_arrow(path, kind))
    for group in groups:
        require_names(group)
        if found and group.keys() != found.keys():
            other = sorted(group.keys() ^ found.keys())
            raise DataError("the files have different columns", field=other[0], remedy="infer from files of one kind")
        found = {name: _joined(found[name], guess) for name, guess in group.items()} if found else group
    return found


def _joined(first: Guess, second: Guess) -> Guess:
    words = tuple(sorted({*first.null_values, *second.null_values}))
    if (first.type, first.shape) == (second.type, second.shape):
        return replace(first, null_values=words)
    if {first.type, second.type} == {INT, FLOAT} and first.shape == second.shape:
        return Guess(FLOAT, first.shape, null_values=words)
    return Guess("", note=f"{first.type or 'nothing known'} in one file, {second.type or 'nothing known'} in another")
