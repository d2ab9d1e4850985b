"""Column: a name, a role, and the exact type in which values are stored."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest

Role = Literal["id", "label", "feature", "segment", "cluster", "timestamp", "weight", "info", "ignored"]
ScalarType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64", "string", "date",
    "timestamp",
]  # fmt: skip


class FrozenColumn(Manifest):
    """One column as shards store it and variants receive it."""

    name: str = Field(min_length=1, max_length=200)
    """The column's name in the source files and in the frozen shards."""
    role: Role
    """What the column is for. `id`: identifies the row. `label`: the correct answer. `feature`: an input of the
    variants. `segment`: groups rows for separate estimates. `cluster`: groups rows that are not independent, such as
    those of one user. `timestamp`: when the row was created. `weight`: how much the row counts; runs do not support
    weights yet. `info`: stored and checked, but not passed to variants. `ignored`: not read."""
    type: ScalarType = "string"
    """The type of a value, or of a tensor's elements. Default: `string`. A value that cannot be converted without loss
    is an error. Timestamps are stored as microseconds in UTC."""
    shape: tuple[int, ...] = ()
    """The shape of a tensor, such as an image or an embedding. Empty (default): a scalar."""
    classes: tuple[str, ...] = ()
    """For a label of type string: the class names, in the order of the variants' outputs."""
    nullable: bool = False
    """Whether values may be missing. Default: false. Variants receive NaN for a missing number and None for a missing
    string; rows whose segment is missing form a segment of their own."""

    @property
    def form(self) -> str:
        """The column's name, type and shape, for messages."""
        shape = f"[{'x'.join(map(str, self.shape))}]" if self.shape else ""
        return f"{self.name}: {'nullable ' * self.nullable}{self.type}{shape}"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(size < 1 for size in self.shape):
            raise ValueError("every size in shape must be at least 1")
        if self.shape and self.role not in ("feature", "info"):
            raise ValueError("only a column of role feature or info may be a tensor; remove shape")
        if self.shape and not (is_number(self.type) or self.type == "bool"):
            raise ValueError(f"the elements of a tensor must be numbers or bools, not of type {self.type}")
        for roles, types in (
            (("id",), ("string", "int64")),
            (("segment", "cluster"), ("string", "int64", "bool")),
            (("timestamp",), ("date", "timestamp")),
            (("weight",), ("float32", "float64")),
        ):
            if self.role in roles and self.type not in types:
                raise ValueError(f"{self.role} column: type is {self.type}, must be {' or '.join(types)}")
        if self.type in ("date", "timestamp") and self.role not in ("timestamp", "info", "ignored"):
            raise ValueError(f"a {self.role} column cannot be of type {self.type}; use role timestamp or info")
        string_label = self.role == "label" and self.type == "string"
        if string_label != bool(self.classes):
            raise ValueError("classes must be given for a label of type string, and for no other column")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must not repeat a class")
        if self.nullable and self.role in ("id", "label", "cluster", "weight", "timestamp"):
            raise ValueError(f"{self.role} column cannot be nullable: every row needs a value")
        if self.nullable and self.shape:
            raise ValueError("a tensor cannot be nullable: every row needs a value")
        if self.nullable and self.role == "feature" and self.type not in ("float32", "float64", "string"):
            raise ValueError(
                f"a feature of type {self.type} cannot be nullable, because variants receive no nulls; "
                "use float64, where a missing value is NaN"
            )
        return self


def is_number(type_name: str) -> bool:
    """Whether values of a type are numbers."""
    return type_name.startswith(("int", "uint", "float"))
