"""A guess: what a column of a file seems to be."""

from dataclasses import dataclass

BOOL, INT, FLOAT = "bool", "int64", "float64"


@dataclass(frozen=True)
class Guess:
    """What a column seems to be.

    Attributes:
        type: The type by its name in a contract; empty if no contract has such values.
        shape: Of a tensor.
        note: What a person should know, or why there is no type.
        null_values: Words in its cells that stand for no value; without them it would be text.
    """

    type: str
    shape: tuple[int, ...] = ()
    note: str = ""
    null_values: tuple[str, ...] = ()
