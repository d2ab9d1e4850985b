"""The text of a draft contract: YAML with comments for the person who reviews it."""

from collections.abc import Iterable
from typing import Any

import yaml

from assay.evaluator.data.infer.draft_entries import DraftEntry
from assay.manifests.contract import Encoding
from assay.manifests.yaml_document import EXPONENT

_LONGEST_COMMENT = 200


class _Dumper(yaml.SafeDumper):
    """Also puts texts such as 1e5 in quotes, which manifests read as numbers."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-0123456789"))


def yaml_text(entries: dict[str, DraftEntry], *, num_rows: int, names: Iterable[str], encoding: Encoding) -> str:
    """The contract as YAML, with comments and with rules that are commented out.

    Args:
        entries: The draft of each column.
        num_rows: The number of rows that it was inferred from.
        names: The names of their files.
        encoding: The encoding of the files.
    """
    lines = [
        f"# Draft contract, inferred from {num_rows:,} rows of {_comment(', '.join(names))}. Review it before you freeze:",
        "# - check the role and type of each column, and add its description and unit;",
        "# - rules after '#' hold for these rows: remove the '#' from those that must hold for all future rows.",
        "# 'assay schema Contract' describes every field.",
        "kind: Contract",
        "version: 1",
        *([f"encoding: {encoding}"] if encoding != "utf-8" else []),
        "columns:",
    ]
    for entry in entries.values():
        lines += [f"  # {_comment(comment)}" for comment in entry.comments]
        lines += [f"  {' ' if at else '-'} {line}" for at, line in enumerate(_dumped(entry.fields))]
        lines += [f"    # {line}" for line in _dumped(entry.rules)]
    return "\n".join(lines) + "\n"


def _dumped(fields: dict[str, Any]) -> list[str]:
    """One line per field, lists in brackets; ASCII only, so that it is valid YAML whatever the texts contain."""
    return [
        yaml.dump(
            {name: value}, Dumper=_Dumper, width=2**31, default_flow_style=None if isinstance(value, list) else False
        ).strip()
        for name, value in fields.items()
    ]


def _comment(text: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _LONGEST_COMMENT else f"{printable[: _LONGEST_COMMENT - 1]}…"
