"""Column values: statistics of the values of one column, from which rules are guessed."""

import re
from typing import Any

import numpy as np
import pyarrow.compute as pc

from assay.evaluator.data.profile.distinct import Distinct, hashes
from assay.manifests.column import is_number
from assay.manifests.contract_column import Column

_FORMS = (("[0-9]", "9"), ("[A-Z]", "A"), ("[a-z]", "a"))
_CLASSES = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}
_LONGEST_CODE = 40


class ColumnValues:
    """Collects statistics of a streamed column; keeps 8 bytes per row as long as all values may be distinct."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self.num_rows = self.num_nulls = self.num_infinite = 0
        self.minimum: float | None = None
        self.maximum: float | None = None
        self.distinct = Distinct()
        self._hashes: list[Any] | None = [] if not column.shape and column.type in ("string", "int64") else None
        self._forms: set[str] | None = set() if column.type == "string" else None

    def take(self, array: Any) -> None:
        """Adds values, an Arrow array of the column's type."""
        self.num_rows += len(array)
        self.num_nulls += array.null_count
        values = array.drop_null()
        if self._column.shape:
            values = values.storage.flatten()
        elif len(values):
            self.distinct.take(values)
            self._update_repeats(values)
        if self._column.type.startswith("float") and len(values):
            is_finite: Any = pc.is_finite(values)
            self.num_infinite += len(values) - is_finite.true_count
            values = values.filter(is_finite)
        if len(values) and is_number(self._column.type):
            self._update_range(values)
        if self._forms is not None and len(values):
            self._update_forms(values)

    @property
    def is_unique(self) -> bool:
        """Whether no row is null and all values are distinct."""
        if not self._hashes or self.num_nulls:
            return False
        all_hashes = np.concatenate(self._hashes)
        return len(np.unique(all_hashes)) == len(all_hashes)

    @property
    def pattern(self) -> str | None:
        """A regular expression if all texts have the same form and it contains digits, such as AB-1234; else None."""
        if not self._forms or len(self._forms) != 1:
            return None
        (form,) = self._forms
        if "9" not in form or len(form) > _LONGEST_CODE or not form.isascii() or not form.isprintable():
            return None
        runs = [match.group() for match in re.finditer(r"(.)\1*", form)]
        return "".join(f"{_CLASSES.get(run[0], re.escape(run[0]))}{f'{{{len(run)}}}' * (len(run) > 1)}" for run in runs)

    def _update_repeats(self, values: Any) -> None:
        if self._hashes is None:
            return
        new = hashes(values)
        self._hashes = [*self._hashes, new] if len(np.unique(new)) == len(new) else None

    def _update_range(self, values: Any) -> None:
        ends: Any = pc.min_max(values).as_py()
        self.minimum = ends["min"] if self.minimum is None else min(self.minimum, ends["min"])
        self.maximum = ends["max"] if self.maximum is None else max(self.maximum, ends["max"])

    def _update_forms(self, values: Any) -> None:
        if pc.max(pc.utf8_length(values)).as_py() > _LONGEST_CODE:
            self._forms = None
            return
        for pattern, replacement in _FORMS:
            values = pc.replace_substring_regex(values, pattern, replacement)
        assert self._forms is not None
        self._forms |= set(pc.unique(values).slice(0, 2).to_pylist())
        if len(self._forms) > 1:
            self._forms = None
