"""Sweep: many arms generated from one variant."""

import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeVar, cast

import rfc8785
from pydantic import AfterValidator, Discriminator, Field, JsonValue, PlainSerializer, Tag, model_validator

from assay.manifests.arm import Arm
from assay.manifests.base import LOCATION, Manifest
from assay.manifests.errors import shortened
from assay.manifests.variant import Variant

MAX_ARMS = 10_000
"""Largest number of arms of one sweep."""

_REAL_STEPS = 1_000_000
_MAX_NAME = 101  # characters of a `Name`
_MAX_PART = 40
_DIGEST_CHARACTERS = 10
_Value = TypeVar("_Value")


def _distinct(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    """Returns the values; raises ValueError for a duplicate, which would generate the same arm twice."""
    seen: set[str] = set()
    for value in values:
        text = _text(value)
        if text in seen:
            raise ValueError(f"{shortened(text)} is given twice; remove one of them")
        seen.add(text)
    return values


def _sweepable(values: Mapping[str, _Value]) -> Mapping[str, _Value]:
    """Returns the mapping, read-only; raises ValueError for a path that cannot be swept or is inside another one."""
    for path in values:
        if not re.fullmatch(r"parameters(\.\w+)+", path):
            raise ValueError(
                f"'{path}' cannot be swept; allowed: parameters.NAME, such as parameters.temperature or "
                "parameters.decoding.top_k; for weights use the sweep's 'weights:', and for variants that differ in "
                "anything else separate arms under 'arms:'"
            )
        parents = [other for other in values if path.startswith(f"{other}.")]
        if parents:
            raise ValueError(f"'{path}' is a part of '{parents[0]}', which is also swept; remove one of them")
    return MappingProxyType(dict(values))


class Range(Manifest):
    """A range of numbers to draw from."""

    between: tuple[int | float, int | float]
    """The lowest and the highest number, both included."""
    numbers: Literal["real", "whole"] = "real"
    """`real` (default): numbers on a grid of a million equal steps. `whole`: integers."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        low, high = self.between
        if low >= high:
            raise ValueError(f"between is [{low}, {high}], but the first number must be less than the second")
        if self.numbers == "whole" and not (isinstance(low, int) and isinstance(high, int)):
            raise ValueError(f"between is [{low}, {high}], but numbers is whole; write both as integers")
        return self

    def __len__(self) -> int:
        """The number of values in the range."""
        return int(self.between[1] - self.between[0]) + 1 if self.numbers == "whole" else _REAL_STEPS + 1

    def __getitem__(self, index: int) -> int | float:
        """The value at an index, in ascending order."""
        low, high = self.between
        if self.numbers == "whole":
            return low + index
        return float(f"{low + (high - low) * index / _REAL_STEPS:.15g}")  # 0.3, not 0.30000000000000004


_Values = Annotated[tuple[JsonValue, ...], Field(min_length=1), AfterValidator(_distinct)]
_Point = Annotated[Mapping[str, JsonValue], AfterValidator(_sweepable), PlainSerializer(dict)]
_Grid = Annotated[Mapping[str, _Values], Field(min_length=1), AfterValidator(_sweepable), PlainSerializer(dict)]
_Choice = Annotated[
    Annotated[Range, Tag("range")] | Annotated[_Values, Tag("values")],
    Discriminator(lambda choice: "values" if isinstance(choice, list | tuple) else "range"),
]
_Space = Annotated[Mapping[str, _Choice], Field(min_length=1), AfterValidator(_sweepable), PlainSerializer(dict)]


class Sample(Manifest):
    """Combinations drawn at random, without repetition."""

    of: _Space
    """For each path, such as `parameters.temperature`, a list of values or a range: `{between: [0, 1]}`."""
    count: int = Field(ge=1, le=MAX_ARMS)
    """Number of combinations. With the same seed, a larger count keeps those of a smaller one."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Random seed of the draw. Default: 0."""

    @model_validator(mode="after")
    def _has_enough(self) -> Self:
        if self.count > self._num_combinations:
            raise ValueError(
                f"count is {self.count}, but there are only {self._num_combinations} combinations; lower it, or use a "
                "grid"
            )
        return self

    @property
    def _num_combinations(self) -> int:
        return math.prod(len(values) for values in self.of.values())

    def points(self) -> tuple[Mapping[str, JsonValue], ...]:
        """The combinations in the order in which they are drawn.

        Draw i is the sha256 of `seed:i` modulo the number of combinations, so it is the same on every machine.
        """
        drawn: dict[int, None] = {}
        for draw in itertools.count():
            if len(drawn) == self.count:
                break
            digest = hashlib.sha256(f"{self.seed}:{draw}".encode()).digest()
            drawn.setdefault(int.from_bytes(digest, "big") % self._num_combinations)
        return tuple(self._point(index) for index in drawn)

    def _point(self, index: int) -> Mapping[str, JsonValue]:
        point: dict[str, JsonValue] = {}
        for path, values in self.of.items():
            index, position = divmod(index, len(values))
            point[path] = values[position]
        return point


class Sweep(Manifest):
    """Generates arms that differ from one variant in parameters, weights, or both, and names them by what differs.

    With `weights: checkpoints/*.pt` and `grid: {parameters.temperature: [0, 0.5]}`, the arm for the file `step-20.pt`
    and 0.5 is called `step-20_temperature-0.5`. Parts of a name that are long or contain characters other than `A-Z a-z
    0-9 _ . -` are cut and end with a digest. At most one of `grid`, `list` and `sample` can be given.
    """

    base: Variant
    """The variant that the arms are derived from: inline, or the path of its file."""
    grid: _Grid | None = None
    """For each path, such as `parameters.temperature`, a list of values; every combination becomes an arm."""
    list: Annotated[tuple[_Point, ...], Field(min_length=1), AfterValidator(_distinct)] | None = None
    """The arms one by one, each as a mapping from paths to values."""
    sample: Sample | None = None
    """Arms for combinations drawn at random."""
    weights: str | None = Field(default=None, min_length=1, json_schema_extra=LOCATION)
    """A folder of weights files, or a glob with `*`, `?` or `[a-z]` in any part, such as `run-*/model.pt`. Each file
    replaces the base's weights, in natural order of the names (`step-9` before `step-10`), and is combined with every
    combination of parameters. Null (default): the base's weights."""
    accelerator_type: str | None = Field(default=None, min_length=1)
    """The accelerator type that the slots of these arms require, by Ray's name for it. Null (default): any type."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        kinds = [name for name in ("grid", "list", "sample") if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise ValueError(f"a sweep can have only one of grid, list and sample, not {' and '.join(kinds)}")
        if not kinds and self.weights is None:
            raise ValueError("a sweep needs a grid, a list, a sample or weights, in which its arms differ")
        self.arms()
        return self

    def arms(self, weights: Mapping[str, str] | None = None) -> tuple[Arm, ...]:
        """The arms, ordered by weights file, then by grid with the first path changing slowest.

        Args:
            weights: The location of each weights file by its name, in order; None: the weights of the base.

        Raises:
            ValueError: There are too many arms, or a path leads through a value that is not a mapping.
        """
        num_arms = self._num_points * (1 if weights is None else len(weights))
        if num_arms > MAX_ARMS:
            raise ValueError(f"the sweep has {num_arms:,} arms; allowed: {MAX_ARMS:,}; draw a sample of them")
        points = self._points()
        if weights is None:
            return tuple(self._arm("", point, {}) for point in points)
        return tuple(
            self._arm(file, point, {"weights": location, "weights_digest": None})
            for file, location in weights.items()
            for point in points
        )

    @property
    def _num_points(self) -> int:
        if self.grid is not None:
            return math.prod(len(values) for values in self.grid.values())
        if self.sample is not None:
            return self.sample.count
        return len(self.list or (None,))

    def _points(self) -> tuple[Mapping[str, JsonValue], ...]:
        if self.grid is not None:
            return tuple(dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values()))
        if self.sample is not None:
            return self.sample.points()
        return self.list or ({},)

    def _arm(self, file: str, point: Mapping[str, JsonValue], update: Mapping[str, str | None]) -> Arm:
        parameters = self.base.parameters
        for path, value in point.items():
            parameters = _put(parameters, path.split(".")[1:], value)
        variant = self.base.model_copy(update={"parameters": MappingProxyType(dict(parameters)), **update})
        return Arm(name=_name(file, point), variant=variant, accelerator_type=self.accelerator_type)


def _put(parent: JsonValue | Mapping[str, JsonValue], path: Sequence[str], value: JsonValue) -> dict[str, JsonValue]:
    """A copy of nested values with one of them replaced or added."""
    if not isinstance(parent, Mapping):
        raise ValueError(  # noqa: TRY004  # pydantic reports only ValueErrors
            f"'{path[0]}' is swept inside {shortened(parent)}, which is not a mapping; sweep the whole value, or make "
            "it a mapping in the base"
        )
    name, *inner = path
    return {**parent, name: _put(parent.get(name, {}), inner, value) if inner else value}


def _name(file: str, point: Mapping[str, JsonValue]) -> str:
    """The arm's name, which states how it differs from the base."""
    parts = [_cut(file, _MAX_PART)] if file else []
    parts += [f"{path.partition('.')[2]}-{_cut(_text(value), _MAX_PART)}" for path, value in point.items()]
    return _cut("_".join(parts), _MAX_NAME).lstrip("_.-") or "base"


def _text(value: Any) -> str:
    """A value as text; values that are equal in JSON, such as 1 and 1.0, have the same text."""
    if isinstance(value, str):
        return value
    plain = dict(cast("Mapping[str, JsonValue]", value)) if isinstance(value, Mapping) else value
    return rfc8785.dumps(plain).decode()


def _cut(text: str, limit: int) -> str:
    """The text, if it is short and safe in a file name; otherwise its beginning and its digest."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)
    if safe == text and len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{safe[: limit - _DIGEST_CHARACTERS - 1].strip('-')}-{digest}"
