"""Types: the columns of files, and for each the narrowest type that represents all rows without loss."""

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
    """The columns of some files, in order, with a guess for each.

    Raises:
        DataError: A file cannot be read, or files have different columns.
    """
    guessed: dict[str, Guess] = {}
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
        if guessed and group.keys() != guessed.keys():
            difference = sorted(group.keys() ^ guessed.keys())
            remedy = "infer from files with the same columns"
            raise DataError("the files have different columns", field=difference[0], remedy=remedy)
        guessed = {name: _joined(guessed[name], guess) for name, guess in group.items()} if guessed else group
    return guessed


def _joined(first: Guess, second: Guess) -> Guess:
    null_values = tuple(sorted({*first.null_values, *second.null_values}))
    if (first.type, first.shape) == (second.type, second.shape):
        return replace(first, null_values=null_values)
    if {first.type, second.type} == {INT, FLOAT} and first.shape == second.shape:
        return Guess(FLOAT, first.shape, null_values=null_values)
    return Guess("", note=f"type {first.type or 'unknown'} in one file, {second.type or 'unknown'} in another")
