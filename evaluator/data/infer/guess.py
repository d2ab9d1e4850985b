"""Guess: the inferred type of a column of a file."""

from dataclasses import dataclass

BOOL, INT, FLOAT = "bool", "int64", "float64"


@dataclass(frozen=True)
class Guess:
    """The inferred type of a column.

    Attributes:
        type: The type by its name in a contract; empty if no type fits.
        shape: The shape of a tensor; empty for plain values.
        note: A comment for the draft, or why there is no type.
        null_values: Texts in its cells that mean null; without them the column would be text.
    """

    type: str
    shape: tuple[int, ...] = ()
    note: str = ""
    null_values: tuple[str, ...] = ()
