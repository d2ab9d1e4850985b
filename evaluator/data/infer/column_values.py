"""Column values: what the values of one column are like, learnt while they stream by, for rules to be guessed from."""

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
    """Follows the values of a column. Of one whose values may all differ it keeps 8 bytes a row, until two are equal."""

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
            self._look_for_repeats(values)
        if self._column.type.startswith("float") and len(values):
            is_finite: Any = pc.is_finite(values)
            self.num_infinite += len(values) - is_finite.true_count
            values = values.filter(is_finite)
        if len(values) and is_number(self._column.type):
            self._look_for_ends(values)
        if self._forms is not None and len(values):
            self._look_for_forms(values)

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value, and no two the same."""
        if not self._hashes or self.num_nulls:
            return False
        every = np.concatenate(self._hashes)
        return len(np.unique(every)) == len(every)

    @property
    def pattern(self) -> str | None:
        """The regular expression of texts that all have one form with digits in it, such as AB-1234; else None."""
        if not self._forms or len(self._forms) != 1:
            return None
        (form,) = self._forms
        if "9" not in form or len(form) > _LONGEST_CODE or not form.isascii() or not form.isprintable():
            return None
        runs = [match.group() for match in re.finditer(r"(.)\1*", form)]
        return "".join(f"{_CLASSES.get(run[0], re.escape(run[0]))}{f'{{{len(run)}}}' * (len(run) > 1)}" for run in runs)

    def _look_for_repeats(self, values: Any) -> None:
        if self._hashes is None:
            return
        found = hashes(values)
        self._hashes = [*self._hashes, found] if len(np.unique(found)) == len(found) else None

    def _look_for_ends(self, values: Any) -> None:
        ends: Any = pc.min_max(values).as_py()
        self.minimum = ends["min"] if self.minimum is None else min(self.minimum, ends["min"])
        self.maximum = ends["max"] if self.maximum is None else max(self.maximum, ends["max"])

    def _look_for_forms(self, values: Any) -> None:
        if pc.max(pc.utf8_length(values)).as_py() > _LONGEST_CODE:
            self._forms = None
            return
        for written, stands_for in _FORMS:
            values = pc.replace_substring_regex(values, written, stands_for)
        assert self._forms is not None
        self._forms |= set(pc.unique(values).slice(0, 2).to_pylist())
        if len(self._forms) > 1:
            self._forms = None
