"""Sweep: one variant, and what its arms differ in."""

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
"""The most arms of one sweep."""

_REAL_STEPS = 1_000_000
_MAX_NAME = 101  # characters of a `Name`
_MAX_PART = 40
_DIGEST_CHARACTERS = 10
_Value = TypeVar("_Value")


def _distinct(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    """Refuses a value that stands there twice: it would make the same arms under the same names."""
    seen: set[str] = set()
    for value in values:
        text = _text(value)
        if text in seen:
            raise ValueError(f"{shortened(text)} stands there twice; keep one of them")
        seen.add(text)
    return values


def _sweepable(given: Mapping[str, _Value]) -> Mapping[str, _Value]:
    """Refuses paths that cannot be swept, and one that lies inside another; makes the mapping read-only."""
    for path in given:
        if not re.fullmatch(r"parameters(\.\w+)+", path):
            raise ValueError(
                f"'{path}' cannot be swept; allowed: parameters.NAME, such as parameters.temperature or "
                "parameters.decoding.top_k; weights stand under 'weights:' of the sweep, and what differs otherwise is "
                "an arm of its own under 'arms:'"
            )
        whole = [other for other in given if path.startswith(f"{other}.")]
        if whole:
            raise ValueError(f"'{path}' is a part of '{whole[0]}', which is swept as a whole; keep one of them")
    return MappingProxyType(dict(given))


class Range(Manifest):
    """Numbers to draw from."""

    between: tuple[int | float, int | float]
    """The lowest and the highest number."""
    numbers: Literal["real", "whole"] = "real"
    """`real`: the two and a million equal steps between them. `whole`: whole numbers."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        low, high = self.between
        if low >= high:
            raise ValueError(f"between is {low} and {high}; the lowest number comes first, the highest is above it")
        if self.numbers == "whole" and not (isinstance(low, int) and isinstance(high, int)):
            raise ValueError(f"between is {low} and {high}, but numbers: whole; write both without a point")
        return self

    def __len__(self) -> int:
        """How many numbers there are."""
        return int(self.between[1] - self.between[0]) + 1 if self.numbers == "whole" else _REAL_STEPS + 1

    def __getitem__(self, index: int) -> int | float:
        """The number of that index, the lowest first."""
        low, high = self.between
        if self.numbers == "whole":
            return low + index
        return float(f"{low + (high - low) * index / _REAL_STEPS:.15g}")  # 0.3, not 0.30000000000000004


_Values = Annotated[tuple[JsonValue, ...], Field(min_length=1), AfterValidator(_distinct)]
_Point = Annotated[Mapping[str, JsonValue], AfterValidator(_sweepable), PlainSerializer(dict)]
_Grid = Annotated[Mapping[str, _Values], Field(min_length=1), AfterValidator(_sweepable), PlainSerializer(dict)]
_Choice = Annotated[
    Annotated[Range, Tag("range")] | Annotated[_Values, Tag("values")],
    Discriminator(lambda given: "values" if isinstance(given, list | tuple) else "range"),
]
_Space = Annotated[Mapping[str, _Choice], Field(min_length=1), AfterValidator(_sweepable), PlainSerializer(dict)]


class Sample(Manifest):
    """Points drawn at random, without repeats."""

    of: _Space
    """Per path, the values or the range of numbers to draw from."""
    count: int = Field(ge=1, le=MAX_ARMS)
    """How many points. A larger count with the same seed keeps the points of the smaller one."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Another seed, other points."""

    @model_validator(mode="after")
    def _has_enough(self) -> Self:
        if self.count > self._num_combinations:
            raise ValueError(
                f"count is {self.count}, but there are {self._num_combinations} combinations to draw from; write them "
                "out as a grid"
            )
        return self

    @property
    def _num_combinations(self) -> int:
        return math.prod(len(values) for values in self.of.values())

    def points(self) -> tuple[Mapping[str, JsonValue], ...]:
        """The points, in the order in which they are drawn.

        Draw i is the sha256 of `seed:i`, modulo the number of combinations: the same everywhere and for ever.
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
    """Arms that differ from one variant in parameters, in weights, or in both; they are named by what they differ in.

    The arm of `weights: checkpoints/*.pt` and `grid: {parameters.temperature: [0, 0.5]}` for the file `step-20.pt` and
    0.5 is `step-20_temperature-0.5`. In a name, what is long or has other characters than `A-Z a-z 0-9 _ . -` is cut
    and ends with a digest.
    """

    base: Variant
    """The variant, inline or as a path to its file."""
    grid: _Grid | None = None
    """Per path, such as `parameters.temperature`, its values: every combination is an arm."""
    list: Annotated[tuple[_Point, ...], Field(min_length=1), AfterValidator(_distinct)] | None = None
    """The arms one by one: per path the value."""
    sample: Sample | None = None
    """Combinations drawn at random."""
    weights: str | None = Field(default=None, min_length=1, json_schema_extra=LOCATION)
    """A folder of weights files, or a pattern with `*`, `?` or `[a-z]` in any part, such as `run-*/model.pt`: each file
    takes the place of the base's weights, in the natural order of their names, each with every combination."""
    accelerator_type: str | None = Field(default=None, min_length=1)
    """The GPU that the slots of all its arms need, as Ray names it. Null: any."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        kinds = [name for name in ("grid", "list", "sample") if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise ValueError(f"a sweep has one of grid, list and sample, not {' and '.join(kinds)}")
        if not kinds and self.weights is None:
            raise ValueError("a sweep needs a grid, a list, a sample or weights: something its arms differ in")
        if self.weights is not None and self.base.predictor == "callable":
            raise ValueError("a callable predictor loads its own weights; sweep over a parameter that names them")
        self.arms()
        return self

    def arms(self, weights: Mapping[str, str] | None = None) -> tuple[Arm, ...]:
        """The arms: weights file by weights file, and in each the first path of a grid changes slowest.

        Args:
            weights: The location of each weights file by its name, in order. None: the weights of the base.

        Raises:
            ValueError: These are too many, or a path leads through something that has no parts.
        """
        num_arms = self._num_points * (1 if weights is None else len(weights))
        if num_arms > MAX_ARMS:
            raise ValueError(f"the sweep makes {num_arms:,} arms; allowed: {MAX_ARMS:,}; draw a sample of them")
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


def _put(given: JsonValue | Mapping[str, JsonValue], path: Sequence[str], value: JsonValue) -> dict[str, JsonValue]:
    """A copy of nested values with one of them exchanged or added."""
    if not isinstance(given, Mapping):
        raise ValueError(  # noqa: TRY004  # pydantic tells only of ValueErrors
            f"'{path[0]}' is swept inside {shortened(given)}, which has no parts; sweep the whole of it, or give the "
            "base parts there"
        )
    name, *inner = path
    return {**given, name: _put(given.get(name, {}), inner, value) if inner else value}


def _name(file: str, point: Mapping[str, JsonValue]) -> str:
    """What the arm differs in, as a `Name`."""
    parts = [_cut(file, _MAX_PART)] if file else []
    parts += [f"{path.partition('.')[2]}-{_cut(_text(value), _MAX_PART)}" for path, value in point.items()]
    return _cut("_".join(parts), _MAX_NAME).lstrip("_.-") or "base"


def _text(value: Any) -> str:
    """A value as it is written: what is equal in JSON, such as 1 and 1.0, has one text."""
    if isinstance(value, str):
        return value
    plain = dict(cast("Mapping[str, JsonValue]", value)) if isinstance(value, Mapping) else value
    return rfc8785.dumps(plain).decode()


def _cut(text: str, limit: int) -> str:
    """The text, if it is short and a file's name can hold it; otherwise its beginning and its digest."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)
    if safe == text and len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{safe[: limit - _DIGEST_CHARACTERS - 1].strip('-')}-{digest}"
