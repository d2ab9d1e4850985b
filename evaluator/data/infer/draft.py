"""Draft: infers the draft of a contract from files of rows."""

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
    """The YAML text of a contract that the rows pass, except where its comments say that they do not.

    Every row is read twice. Memory is bounded, except for 8 bytes per row of each column whose values may all be distinct.

    Args:
        sources: Files in any of the formats of `ingest`, with the same columns.
        label: The label column; None: the column named label, target, y, class or outcome.
        id_column: The id column; None: the one that `entries_of` chooses, if any.
        encoding: The encoding of text files.

    Raises:
        DataError: A file cannot be read, there is no label or no feature, or the encoding is not supported.
    """
    checked_encoding = _supported(encoding)
    paths = [Path(source) for source in sources]
    if not paths:
        raise DataError("no files to infer a contract from", remedy="name at least one file")
    guessed = guesses(paths, checked_encoding)
    label = _label(label, guessed)
    if id_column is not None and id_column not in guessed:
        raise _unknown(id_column, guessed, "--id")
    guessed, seen = _seen(paths, guessed, label, checked_encoding)
    entries = entries_of(guessed, seen, label, id_column)
    num_rows = next(iter(seen.values())).num_rows
    return yaml_text(entries, num_rows=num_rows, names=[path.name for path in paths], encoding=checked_encoding)


def _supported(encoding: str) -> Encoding:
    for supported in get_args(Encoding):
        if supported == encoding:
            return supported
    raise DataError("unsupported encoding", field="--encoding", value=encoding, bound=", ".join(get_args(Encoding)))


def _label(label: str | None, guessed: dict[str, Guess]) -> str:
    if label is not None:
        if label not in guessed:
            raise _unknown(label, guessed, "--label")
        return label
    for usual_name in _LABELS:
        for name in guessed:
            if name.lower() == usual_name:
                return name
    raise DataError(
        f"no column is named {', '.join(_LABELS[:-1])} or {_LABELS[-1]}",
        field="--label",
        bound=", ".join(guessed),
        remedy="choose the label with --label NAME",
    )


def _unknown(name: str, guessed: dict[str, Guess], option: str) -> DataError:
    return DataError("no such column", field=option, value=f"'{name}'", remedy=did_you_mean(name, list(guessed)))


def _seen(
    paths: Sequence[Path], guessed: dict[str, Guess], label: str, encoding: Encoding
) -> tuple[dict[str, Guess], dict[str, ColumnValues]]:
    """Reads all rows as they would be frozen; a column that cannot be read as guessed becomes text or is ignored."""
    while True:
        contract = _reading(guessed, label, encoding)
        seen = {column.name: ColumnValues(column) for column in contract.columns if column.role != "ignored"}
        misfits: dict[str, str] = {}
        for path in paths:
            for chunk in read_chunks(path, contract=contract):
                # An offence in a column that is already ignored concerns the whole row.
                require_readable([each for each in chunk.offences if each.column not in seen])
                for each in chunk.offences:
                    misfits.setdefault(each.column, f"{each.place} ({each.problem}: {shortened(each.value)})")
                for name in seen if not misfits else ():
                    for array in chunk.table[name].chunks:
                        seen[name].take(array)
        if not misfits:
            return guessed, seen
        is_text = all(map(is_delimited, paths))
        for name, reason in misfits.items():
            becomes_text = is_text and guessed[name].type != "string"
            note = f"not {guessed[name].type} because of {reason}"
            guessed = guessed | {name: Guess("string" if becomes_text else "", note=note)}


def _reading(guessed: dict[str, Guess], label: str, encoding: Encoding) -> Contract:
    """A contract with the guessed types, for the readers. They ignore roles, so it need not be a valid contract."""
    guess = guessed[label]
    if not guess.type or guess.shape or guess.type in ("date", "timestamp"):
        raise DataError(
            "this column cannot be the label",
            field=label,
            value=guess.note or guess.type,
            remedy="choose the label with --label NAME",
        )
    if all(not each.type or each.type in ("date", "timestamp") for name, each in guessed.items() if name != label):
        others = [f"{name}: {each.note or each.type}" for name, each in guessed.items() if name != label]
        named = [*others[:_MAX_NAMED], *["…"] * (len(others) > _MAX_NAMED)]
        raise DataError("; ".join(["no column other than the label can be a feature", *named]), field=label)
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
