"""Contract: what the rows of a dataset must satisfy."""

from typing import Literal, Self

from pydantic import Field, model_validator

from manifests.base import Manifest

Role = Literal["id", "label", "feature", "segment", "cluster", "ignored"]
ScalarType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64", "string"
]


class Column(Manifest):
    """One column: its name, its role and the exact type that it is frozen as."""

    name: str = Field(min_length=1, max_length=200)
    """The column's name in the source files and in the frozen shards."""
    role: Role
    """`id` names the row, `label` is the truth, `feature` goes to the variants, `segment` groups rows for
    separate estimates, `cluster` groups rows that are not independent, `ignored` is read past."""
    type: ScalarType = "string"
    """The type of a value, or of a tensor's elements. Conversion must lose nothing."""
    shape: tuple[int, ...] = ()
    """The shape of a tensor (an image, an embedding); empty for a plain value."""
    classes: tuple[str, ...] = ()
    """For a string label: the class names in the order of the variants' outputs."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(size < 1 for size in self.shape):
            raise ValueError("every size in shape is at least 1")
        if self.shape and self.role != "feature":
            raise ValueError("only a feature may be a tensor")
        if self.shape and self.type == "string":
            raise ValueError("a tensor holds numbers, not strings")
        if self.role == "id" and self.type not in ("string", "int64"):
            raise ValueError("an id is of type string or int64")
        if self.role in ("segment", "cluster") and self.type not in ("string", "int64", "bool"):
            raise ValueError(f"a {self.role} is of type string, int64 or bool")
        string_label = self.role == "label" and self.type == "string"
        if string_label != bool(self.classes):
            raise ValueError("classes belong to a label of type string, and such a label needs them")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes name each class once")
        return self


class Contract(Manifest):
    """The columns a dataset has, and what they are for."""

    kind: Literal["Contract"]
    """Always `Contract`."""
    version: Literal[1]
    """The version of this manifest's form."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """Every column of the source, in the order in which they are frozen."""

    @model_validator(mode="after")
    def _has_its_roles(self) -> Self:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column names are unique; twice: {', '.join(twice)}")
        roles = [column.role for column in self.columns]
        for role, least, most in (("id", 0, 1), ("label", 1, 1), ("cluster", 0, 1), ("feature", 1, len(roles))):
            if not least <= roles.count(role) <= most:
                raise ValueError(f"{roles.count(role)} columns of role {role}; from {least} to {most} are allowed")
        return self

    @property
    def frozen_columns(self) -> tuple[Column, ...]:
        """The columns that are stored: all but the ignored."""
        return tuple(column for column in self.columns if column.role != "ignored")
