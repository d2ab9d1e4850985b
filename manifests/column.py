"""Column: a name, a role and the exact type that values are frozen as."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest

Role = Literal["id", "label", "feature", "segment", "cluster", "timestamp", "weight", "info", "ignored"]
ScalarType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64", "string", "date",
    "timestamp",
]  # fmt: skip


class FrozenColumn(Manifest):
    """One column as shards and variants know it."""

    name: str = Field(min_length=1, max_length=200)
    """The column's name in the source files and in the frozen shards."""
    role: Role
    """`id` names the row, `label` is the truth, `feature` goes to the variants, `segment` groups rows for
    separate estimates, `cluster` groups rows that are not independent, `timestamp` says when a row came to be,
    `weight` is how much a row counts, `info` is stored and checked but no variant sees it, `ignored` is read past."""
    type: ScalarType = "string"
    """The type of a value, or of a tensor's elements. Conversion must lose nothing. A timestamp is frozen in
    microseconds of UTC."""
    shape: tuple[int, ...] = ()
    """The shape of a tensor (an image, an embedding); empty for a plain value."""
    classes: tuple[str, ...] = ()
    """For a string label: the class names in the order of the variants' outputs."""
    nullable: bool = False
    """Whether rows may have no value. Variants get NaN for a missing number and None for a missing text; a segment
    without a value is a segment of its own."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(size < 1 for size in self.shape):
            raise ValueError("every size in shape is at least 1")
        if self.shape and self.role not in ("feature", "info"):
            raise ValueError("only a feature or info may be a tensor")
        if self.shape and not (is_number(self.type) or self.type == "bool"):
            raise ValueError(f"a tensor holds numbers or bools, not values of type {self.type}")
        for roles, types in (
            (("id",), ("string", "int64")),
            (("segment", "cluster"), ("string", "int64", "bool")),
            (("timestamp",), ("date", "timestamp")),
            (("weight",), ("float32", "float64")),
        ):
            if self.role in roles and self.type not in types:
                raise ValueError(f"a {self.role} is of type {' or '.join(types)}")
        if self.type in ("date", "timestamp") and self.role not in ("timestamp", "info", "ignored"):
            raise ValueError(f"a {self.role} is no {self.type}; give the column the role timestamp or info")
        string_label = self.role == "label" and self.type == "string"
        if string_label != bool(self.classes):
            raise ValueError("classes belong to a label of type string, and such a label needs them")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes name each class once")
        if self.nullable and self.role in ("id", "label", "cluster", "weight", "timestamp"):
            raise ValueError(f"a {self.role} has a value in every row")
        if self.nullable and self.shape:
            raise ValueError("a tensor has a value in every row")
        if self.nullable and self.role == "feature" and self.type not in ("float32", "float64", "string"):
            raise ValueError(
                f"a feature of type {self.type} has a value in every row, since variants are given no null; "
                "a float64 may be nullable: it is NaN there"
            )
        return self


def is_number(type_name: str) -> bool:
    """Whether values of a type are numbers."""
    return type_name.startswith(("int", "uint", "float"))
