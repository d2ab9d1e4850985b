"""Draft: a first contract, inferred from files of rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from assay.evaluator.data.infer.column_values import ColumnValues
from assay.evaluator.data.infer.draft_entries import entries_of
from assay.evaluator.data.infer.guess import Guess
from assay.evaluator.data.infer.text_guesses import require_readable
from assay.evaluator.data.infer.types import guesses
from assay.evaluator.data.infer.yaml_text import yaml_text
from assay.evaluator.data.ingest import read_chunks
from assay.evaluator.data.ingest.source import is_delimited
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract, Encoding
from assay.manifests.contract_column import Column
from assay.manifests.errors import did_you_mean, shortened

_LABELS = ("label", "target", "y", "class", "outcome")
_MAX_NAMED = 5


def infer(
    sources: Sequence[str | Path],
    *,
    label: str | None = None,
    id_column: str | None = None,
    encoding: str = "utf-8",
) -> str:
    """The YAML text of a contract that the rows keep, but for what its comments say they cannot.

    Every row is read twice, in bounded memory, but for 8 bytes a row of each column whose values may all differ.

    Args:
        sources: Files in any of the formats of `ingest`, of the same columns.
        label: The label's column; None takes the one that is called so.
        id_column: The id's column; None takes one whose values all differ, and that is called so or stands first.
        encoding: How text files are encoded.

    Raises:
        DataError: A file cannot be read, there is no label or no feature, or no such encoding.
    """
    known = _known(encoding)
    paths = [Path(source) for source in sources]
    if not paths:
        raise DataError("there is nothing to infer from", remedy="name at least one file")
    guessed = guesses(paths, known)
    label = _label(label, guessed)
    if id_column is not None and id_column not in guessed:
        raise _unknown(id_column, guessed, "--id")
    guessed, seen = _seen(paths, guessed, label, known)
    entries = entries_of(guessed, seen, label, id_column)
    num_rows = next(iter(seen.values())).num_rows
    return yaml_text(entries, num_rows=num_rows, names=[path.name for path in paths], encoding=known)


def _known(encoding: str) -> Encoding:
    for known in get_args(Encoding):
        if known == encoding:
            return known
    raise DataError("no such encoding", field="--encoding", value=encoding, bound=", ".join(get_args(Encoding)))


def _label(given: str | None, guessed: dict[str, Guess]) -> str:
    if given is not None:
        if given not in guessed:
            raise _unknown(given, guessed, "--label")
        return given
    for wanted in _LABELS:
        for name in guessed:
            if name.lower() == wanted:
                return name
    raise DataError(
        "no column is called like a label",
        field="--label",
        bound=", ".join(guessed),
        remedy="say which one it is: --label NAME",
    )


def _unknown(name: str, guessed: dict[str, Guess], option: str) -> DataError:
    return DataError("there is no such column", field=option, value=name, remedy=did_you_mean(name, list(guessed)))


def _seen(
    paths: Sequence[Path], guessed: dict[str, Guess], label: str, encoding: Encoding
) -> tuple[dict[str, Guess], dict[str, ColumnValues]]:
    """Reads all rows as they would be frozen; a column that cannot be read as guessed becomes text, or is ignored."""
    while True:
        contract = _reading(guessed, label, encoding)
        seen = {column.name: ColumnValues(column) for column in contract.columns if column.role != "ignored"}
        wrong: dict[str, str] = {}
        for path in paths:
            for chunk in read_chunks(path, contract=contract):
                # What is wrong with a column that is left out already is wrong with the row.
                require_readable([each for each in chunk.offences if each.column not in seen])
                for each in chunk.offences:
                    wrong.setdefault(each.column, f"{each.place}: {each.problem}: {shortened(each.value)}")
                for name in seen if not wrong else ():
                    for array in chunk.table[name].chunks:
                        seen[name].take(array)
        if not wrong:
            return guessed, seen
        is_text = all(map(is_delimited, paths))
        for name, why in wrong.items():
            becomes_text = is_text and guessed[name].type != "string"
            guessed = guessed | {name: Guess("string" if becomes_text else "", note=f"not {guessed[name].type}, {why}")}


def _reading(guessed: dict[str, Guess], label: str, encoding: Encoding) -> Contract:
    """A contract to read by: types as guessed. Readers ask for no roles, so it need not be one that could be kept."""
    guess = guessed[label]
    if not guess.type or guess.shape or guess.type in ("date", "timestamp"):
        raise DataError(
            "the label has no values that a label can have",
            field=label,
            value=guess.note or guess.type,
            remedy="say which column it is: --label NAME",
        )
    if all(not each.type or each.type in ("date", "timestamp") for name, each in guessed.items() if name != label):
        others = [f"{name}: {each.note or each.type}" for name, each in guessed.items() if name != label]
        named = [*others[:_MAX_NAMED], *["and more"] * (len(others) > _MAX_NAMED)]
        raise DataError("; ".join(["there is no column beside the label that could be a feature", *named]), field=label)
    columns = tuple(
        Column(
            name=name,
            role="info",
            type=each.type,  # pyright: ignore[reportArgumentType]
            shape=each.shape,
            nullable=not each.shape,
            null_values=each.null_values,
        )
        if each.type
        else Column(name=name, role="ignored")
        for name, each in guessed.items()
    )
    return Contract.model_construct(kind="Contract", version=1, columns=columns, encoding=encoding)
