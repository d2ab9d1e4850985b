"""The root of the error tree.

    AssayError                 anything that Assay rejects; exit code 1
    |- InvalidInput            the input cannot be used; exit code 2
    |  |- ManifestError        ... in a manifest (file, line, field, value, bound, remedy)
    |  |- DataError            ... in rows to freeze or score            (evaluator.errors)
    |  |  `- ContractBroken    ... which violate their contract          (evaluator.data.check.refusal)
    |  |- VariantError         ... in a variant's entrypoint or weights  (evaluator.errors)
    |  `- SamplesError         ... in a table of scores                  (stats.errors)
    |- DamageError             stored bytes are not what was recorded    (evaluator.errors)
    |  |- NoObjectError        ... no file is where one must be          (evaluator.errors)
    |  `- UnitDamageError      ... but the unit can be scored again      (evaluator.errors)
    |- StoreError              a store fails or lacks a guarantee        (evaluator.errors)
    |  `- OutageError          ... for now; a retry may succeed          (evaluator.errors)
    |- PredictionError         a variant failed on a batch               (evaluator.predictors.predictor)
    |  `- InputWrittenError    ... because it wrote to its inputs        (evaluator.predictors.predictor)
    |- SourceError             the repository is not usable for a run     (evaluator.errors)
    |- LedgerError             the ledger refuses an operation           (evaluator.errors)
    `- RunError                a run could not be completed              (cluster.errors)
       |- StoppedError         ... because it was asked to stop          (cluster.errors)
       `- NoAnswerError        the cluster's head does not answer        (cluster.errors)

Users see the message and the exit code, never a traceback.
"""

from datetime import date
from difflib import get_close_matches
from typing import Self

from assay.manifests.plain_text import plain


class AssayError(Exception):
    """Something that Assay rejects, with a message that the user can act on.

    The message is made plain (`plain_text`), because it may quote user code, files or a store.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(plain(message))


class InvalidInput(AssayError):
    """The input cannot be used: nothing was started and nothing was written.

    Attributes:
        problem: What is wrong, in one sentence.
        place: Where: a file and line, a column, a URI.
        field: The dotted name of the field or column, if there is one.
        value: The offending value, as text.
        bound: What is allowed.
        remedy: What to do about it.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        place: str = "",
        field: str = "",
        value: object = None,
        bound: str = "",
        remedy: str = "",
    ) -> None:
        self.problem, self.place, self.field = problem, place, field
        self.value = "" if value is None else shortened(value)
        self.bound, self.remedy = bound, remedy
        super().__init__(self._message())

    def within(self, place: str, *, field: str = "", value: object = None) -> Self:
        """The same error with the place that contains its own place, and perhaps another field and value."""
        return type(self)(
            self.problem,
            place=": ".join(part for part in (place, self.place) if part),
            field=field or self.field,
            value=value or self.value or None,
            bound=self.bound,
            remedy=self.remedy,
        )

    def _message(self) -> str:
        head = ": ".join(part for part in (self.place, self.field, self.problem) if part)
        parts = [head]
        if self.value:
            parts.append(f"got {self.value}")
        if self.bound:
            parts.append(f"allowed: {self.bound}")
        if self.remedy and self.remedy != f"known: {self.bound}":  # once is enough
            parts.append(self.remedy)
        return "; ".join(parts)


class ManifestError(InvalidInput):
    """A manifest violates its schema."""


def shortened(value: object, *, limit: int = 80) -> str:
    """The value as a user would type it, cut to `limit` characters."""
    if isinstance(value, date):  # also matches datetime; its `repr` would use up the limit
        value = value.isoformat()
    try:
        text = value if isinstance(value, str) and "\n" not in value and value else repr(value)
    except Exception:  # noqa: BLE001  # a value of user code may have any `__repr__`
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def did_you_mean(name: str, candidates: list[str]) -> str:
    """A remedy for a mistyped name: the nearest known name, or else all known names."""
    near = get_close_matches(name, candidates, n=1, cutoff=0.65)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(sorted(candidates))}" if candidates else ""
