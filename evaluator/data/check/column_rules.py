"""Column rules: a contract's rules about the values of one column, applied to whole Arrow arrays."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.check.tally import NUM_NAMED, Tally
from assay.evaluator.data.ingest import Offence, Origin
from assay.evaluator.data.ingest.arrow_schema import SCALARS
from assay.evaluator.data.ingest.source import is_delimited
from assay.evaluator.errors import DataError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.errors import did_you_mean

Mask = Any
"""An Arrow array of bools, one per row, true where a row violates a rule. Null counts as false."""


@dataclass(frozen=True)
class _Rule:
    """A rule, which rows violate it, and how each violation is described.

    Attributes:
        tally: Its counts.
        broken: Returns the mask of the rows of an array that violate it.
        problem: Describes what is wrong with a value.
        remedy: Says what to do about a value.
        tries_nulls: Whether it applies to null rows.
    """

    tally: Tally
    broken: Callable[[Any], Mask]
    problem: Callable[[Any], str]
    remedy: Callable[[Any], str] = lambda _: ""
    tries_nulls: bool = False


class ColumnRules:
    """The rules of one column that look at one row at a time; uniqueness is checked in `key_rules`."""

    def __init__(self, column: Column) -> None:
        """Compiles the rules.

        Raises:
            DataError: The column's pattern is not a valid regular expression.
        """
        self._column = column
        self._rules = [*_of_presence(column), *_of_numbers(column), *_of_sets(column), *_of_texts(column)]

    @property
    def tallies(self) -> list[Tally]:
        """The counts of each rule, in the contract's order."""
        return [rule.tally for rule in self._rules]

    def take(self, array: pa.Array, *, origin: Origin, is_readable: npt.NDArray[np.bool_] | None) -> list[Offence]:
        """Checks the next rows.

        Args:
            array: The column's values.
            origin: The position of the rows in their file.
            is_readable: Which cells could be read, shape (rows,); None: all. The others hold arbitrary values.

        Returns:
            The first few offences of every rule of severity `error` that no row may violate.
        """
        offences: list[Offence] = []
        readable = None if is_readable is None else pa.array(is_readable)
        num_present = len(array) - array.null_count
        for rule in self._rules:
            mask: Mask = rule.broken(array)
            if readable is not None:
                mask = pc.and_(mask, readable)
            num_checked = len(array) if rule.tries_nulls else num_present
            num_broken = pc.sum(mask).as_py() or 0
            named = self._offences(rule, array, mask, origin) if num_broken else []
            rule.tally.add(num_checked=num_checked, num_broken=num_broken, offences=named)
            if rule.tally.severity == "error" and rule.tally.rule != "null_fraction":
                offences += named
        return offences

    def _offences(self, rule: _Rule, array: pa.Array, mask: Mask, origin: Origin) -> list[Offence]:
        rows = np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False))[:NUM_NAMED]
        offences: list[Offence] = []
        for row in map(int, rows):
            number, value = origin.number(row), array[row].as_py()
            if self._column.shape and value is not None:
                value = _culprit(value, rule, self._column)
            problem = rule.problem(value)
            if rule.tally.rule == "null":
                is_cell = is_delimited(Path(origin.file))
                problem = f"{problem} ({'an empty cell' if is_cell else 'null'})"
            bound = rule.tally.bound
            offences.append(
                Offence(number, origin.place(number), self._column.name, problem, value, bound, rule.remedy(value))
            )
        return offences


def _culprit(values: Sequence[Any], rule: _Rule, column: FrozenColumn) -> Any:
    """The first element of a tensor that violates a rule."""
    elements = pa.array(values, SCALARS[column.type])
    one = _scalar_rule(rule)(elements).fill_null(False).to_numpy(zero_copy_only=False)
    return elements[int(np.flatnonzero(one)[0])].as_py()


def _scalar_rule(rule: _Rule) -> Callable[[Any], Mask]:
    broken = rule.broken
    return broken.on_elements if isinstance(broken, _OnElements) else broken


@dataclass(frozen=True)
class _OnElements:
    """Applies a rule to the elements of a tensor: a row violates it if any of its elements does."""

    on_elements: Callable[[Any], Mask]
    size: int

    def __call__(self, array: Any) -> Mask:
        elements = self.on_elements(array.storage.flatten()).fill_null(False).to_numpy(zero_copy_only=False)
        if not elements.any():
            return pa.array(np.zeros(len(array), bool))
        # Flattening skips null tensors, so the results are mapped back to the rows that have a tensor.
        present = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
        rows = np.zeros(len(array), bool)
        rows[present[elements.reshape(-1, self.size).any(axis=1)]] = True
        return pa.array(rows)


def _on(column: Column, broken: Callable[[Any], Mask]) -> Callable[[Any], Mask]:
    return _OnElements(broken, math.prod(column.shape)) if column.shape else broken


def _tally(column: Column, rule: str, bound: str) -> Tally:
    return Tally(rule, column=column.name, severity="warn" if rule in column.warn else "error", bound=bound)


def _of_presence(column: Column) -> list[_Rule]:
    def is_null(array: Any) -> Mask:
        return array.is_null()

    if not column.nullable:
        tally = _tally(column, "null", _allowed(column))
        return [_Rule(tally, is_null, lambda _: "missing value", tries_nulls=True)]
    if column.max_null_fraction is None:
        return []
    tally = _tally(column, "null_fraction", f"null in at most {column.max_null_fraction:.3g} of the rows")
    tally.max_fraction = column.max_null_fraction
    return [_Rule(tally, is_null, lambda _: "missing value", tries_nulls=True)]


def _of_numbers(column: Column) -> list[_Rule]:
    rules: list[_Rule] = []
    if column.type.startswith("float"):
        tally = _tally(column, "finite", f"finite numbers of type {column.type}")
        rules.append(_Rule(tally, _on(column, lambda array: pc.invert(pc.is_finite(array))), _not_finite))
    if column.role == "weight":
        tally = _tally(column, "weight", "non-negative numbers")
        rules.append(_Rule(tally, lambda array: pc.less(array, pa.scalar(0.0)), lambda _: "a negative weight"))
    if column.minimum is not None:
        low, tally = (
            _limit(column.minimum, column, math.ceil),
            _tally(column, "minimum", f"at least {column.minimum:g}"),
        )
        rules.append(_Rule(tally, _on(column, lambda array: pc.less(array, low)), lambda _: "below the minimum"))
    if column.maximum is not None:
        high, tally = (
            _limit(column.maximum, column, math.floor),
            _tally(column, "maximum", f"at most {column.maximum:g}"),
        )
        rules.append(_Rule(tally, _on(column, lambda array: pc.greater(array, high)), lambda _: "above the maximum"))
    return rules


def _not_finite(value: float) -> str:
    return "NaN is not allowed" if math.isnan(value) else "infinity, or outside the range of the type"


def _limit(bound: float, column: Column, rounded: Callable[[float], int]) -> Any:
    """The bound in the type that values are compared in: 0.1 as float32 does not exceed a maximum of 0.1."""
    if column.type == "float32":
        with np.errstate(over="ignore"):
            return pa.scalar(float(np.float32(bound)), pa.float32())
    if column.type.startswith("float") or not -(2.0**63) <= bound < 2.0**63:
        return pa.scalar(float(bound))
    return pa.scalar(rounded(bound), pa.int64())


def _of_sets(column: Column) -> list[_Rule]:
    rules: list[_Rule] = []
    if column.classes:
        classes = pa.array(column.classes, pa.string())
        rules.append(
            _Rule(
                _tally(column, "classes", _allowed(column)),
                lambda array: pc.and_(pc.invert(pc.is_in(array, value_set=classes)), array.is_valid()),
                lambda _: "not one of the label's classes",
                remedy=lambda value: did_you_mean(value, list(column.classes)),
            )
        )
    if column.allowed_values:
        values = _value_set(column)
        texts = [str(value) for value in column.allowed_values]
        rules.append(
            _Rule(
                _tally(column, "allowed_values", _listed(texts)),
                lambda array: pc.and_(pc.invert(pc.is_in(array.cast(values.type), value_set=values)), array.is_valid()),
                lambda _: "not one of the allowed values",
                remedy=lambda value: did_you_mean(value, texts) if column.type == "string" else "",
            )
        )
    return rules


def _value_set(column: Column) -> pa.Array:
    if column.type in ("string", "bool"):
        return pa.array(column.allowed_values, SCALARS[column.type])
    # Values of a column fit int64, so an allowed value outside its range can never match.
    matchable = [value for value in column.allowed_values if isinstance(value, int) and -(2**63) <= value < 2**63]
    return pa.array(matchable, pa.int64())


def _of_texts(column: Column) -> list[_Rule]:
    rules: list[_Rule] = []
    if column.pattern is not None:
        _require_pattern(column.pattern, column.name)
        whole = rf"\A(?:{column.pattern})\z"
        rules.append(
            _Rule(
                _tally(column, "pattern", f"text that fully matches {column.pattern}"),
                lambda array: pc.invert(pc.match_substring_regex(array, whole)),
                lambda _: "does not match the pattern",
            )
        )
    if column.min_length is not None:
        least = pa.scalar(column.min_length)
        tally = _tally(column, "min_length", f"at least {_characters(column.min_length)}")
        rules.append(_Rule(tally, lambda array: pc.less(pc.utf8_length(array), least), _length("too short")))
    if column.max_length is not None:
        most = pa.scalar(column.max_length)
        tally = _tally(column, "max_length", f"at most {_characters(column.max_length)}")
        rules.append(_Rule(tally, lambda array: pc.greater(pc.utf8_length(array), most), _length("too long")))
    return rules


def _length(problem: str) -> Callable[[str], str]:
    return lambda value: f"{problem}: {_characters(len(value))}"


def _characters(count: int) -> str:
    return f"{count:,} character{'' if count == 1 else 's'}"


def _require_pattern(pattern: str, name: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        problem = str(error).rpartition("Invalid regular expression: ")[2]
        raise DataError(
            f"the contract's pattern is not a valid RE2 regular expression ({problem})",
            field=f"{name}.pattern",
            value=pattern,
            remedy="RE2 supports neither lookaround nor backreferences",
        ) from None


def _allowed(column: FrozenColumn) -> str:
    return _listed(column.classes) if column.classes else f"values of type {column.type}"


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:20])
    return f"{shown}, …" if len(texts) > 20 else shown
