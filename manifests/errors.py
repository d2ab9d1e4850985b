"""The root of the error tree.

    AssayError                 anything Assay says no to; exit code 1
    |- InvalidInput            what was given cannot be used; exit code 2
    |  |- ManifestError        ... in a manifest (file, line, field, value, bound, remedy)
    |  |- DataError            ... in rows to be frozen or scored        (evaluator.errors)
    |  |  `- ContractBroken    ... which break their contract            (evaluator.data.check.refusal)
    |  |- VariantError         ... in a variant's entrypoint or weights  (evaluator.errors)
    |  `- SamplesError         ... in a table of scores                  (stats.errors)
    |- DamageError             stored bytes are not what was recorded    (evaluator.errors)
    |- StoreError              a store cannot keep its promises          (evaluator.errors)
    |  `- OutageError          ... now; it may later                     (evaluator.errors)
    |- PredictionError         a variant failed on a batch               (evaluator.predictors.predictor)
    |- SourceError             the repository is not as a run needs it    (evaluator.errors)
    |- LedgerError             the ledger refuses                        (evaluator.errors)
    `- RunError                a run could not be finished               (cluster.errors)
       |- StoppedError         ... because it was told to stop           (cluster.errors)
       `- NoAnswerError        the cluster's head does not answer        (cluster.errors)

Users see the message and the exit code, never a traceback.
"""

from datetime import date
from difflib import get_close_matches


class AssayError(Exception):
    """An answer of no, in words a user can act on."""

    exit_code = 1


class InvalidInput(AssayError):
    """What was given cannot be used: nothing was started, nothing was written.

    Attributes:
        problem: What is wrong, in one sentence.
        place: Where: a file and line, a column, a URI.
        field: The dotted name of the field or column, if there is one.
        value: What was found there, as text.
        bound: What would be accepted.
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

    def _message(self) -> str:
        head = ": ".join(part for part in (self.place, self.field, self.problem) if part)
        parts = [head]
        if self.value:
            parts.append(f"found {self.value}")
        if self.bound:
            parts.append(f"allowed: {self.bound}")
        if self.remedy:
            parts.append(self.remedy)
        return "; ".join(parts)


class ManifestError(InvalidInput):
    """A manifest breaks its schema."""


def shortened(value: object, *, limit: int = 80) -> str:
    """The value as it would be typed, cut to `limit` characters."""
    if isinstance(value, date):  # a moment is one too; `repr` would fill the limit with words about it
        value = value.isoformat()
    text = value if isinstance(value, str) and "\n" not in value and value else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def did_you_mean(name: str, known: list[str]) -> str:
    """A remedy that guesses the common slip, or lists what there is."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(sorted(known))}" if known else ""
