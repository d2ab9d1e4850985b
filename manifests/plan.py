"""Plan: the analysis, fixed before any result exists."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from assay.manifests.base import Manifest
from assay.manifests.guardrail import Guardrail, LatencyGuardrail

Margins = Annotated[
    Mapping[str, Annotated[float, Field(ge=0)]],
    AfterValidator(lambda given: MappingProxyType(dict(given))),
    PlainSerializer(dict),
]

Omnibus = Literal["auto", "rm_anova", "hotelling", "friedman", "cochran_q", "welch", "oneway", "kruskal", "chi_square"]
Posthoc = Literal["auto", "max_t", "mcnemar_holm", "t_holm", "tukey_hsd", "games_howell", "dunnett"]


class PlanColumns(Manifest):
    """Which columns of a table of scores say what."""

    arm: str = "arm"
    """Long form: the column that names the arm."""
    row: str | None = "row_id"
    """The column that names the row; null for unpaired scores without ids."""
    score: str = "score"
    """Long form: the column that holds the score."""
    arms: Literal["*"] | tuple[str, ...] | None = None
    """Wide form: the columns that are arms; `*` for every column not named here. Null: the table is long."""
    segment: str | None = None
    """The column that groups rows into segments."""
    cluster: str | None = None
    """The column that groups rows that are not independent of each other."""


class Plan(Manifest):
    """Which comparison is made, how, and what counts as enough. Its digest is recorded before the first unit."""

    kind: Literal["Plan"]
    """Always `Plan`."""
    version: Literal[1]
    """The version of this manifest's form."""
    metric: str | None = None
    """The primary metric's name. A suite's plan needs it; a table with one score a row does not."""
    direction: Literal["higher", "lower"] = "higher"
    """Which direction of the primary metric is better."""
    scale: Literal["binary", "continuous", "count", "ordinal"] = "continuous"
    """What a score is: 0 or 1, a number, a count, or a grade."""
    design: Literal["paired", "unpaired"] = "paired"
    """Whether every arm scored the same rows."""
    control: str = Field(min_length=1)
    """The arm that the others are compared with."""
    family: Literal["dunnett", "tukey"] = "dunnett"
    """`dunnett`: the control against every variant. `tukey`: all pairs."""
    omnibus: Omnibus = "auto"
    """The test of no difference among all arms."""
    posthoc: Posthoc = "auto"
    """The method of the comparisons within the family."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The family-wise error rate, two-sided; intervals cover with probability 1 - alpha together."""
    missing: Literal["refuse", "worst", "listwise"] = "refuse"
    """What a row without a score in some arm does: stop the analysis, take the worst score, or leave the row out
    of every arm, with counts."""
    minimum_effect: float = Field(default=0.0, ge=0)
    """The smallest improvement worth shipping, in units of the score."""
    margins: Margins = Field(default_factory=dict, validate_default=True)
    """By arm: how much worse than the control it may be and still not be inferior, in units of the score."""
    guardrails: tuple[Guardrail, ...] = ()
    """What no arm may make worse, each with a bound of its own. In a suite's plan only."""
    columns: PlanColumns = PlanColumns()
    """Where a table of scores has what. In a suite: `segment` and `cluster` name columns of the dataset."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.design == "paired" and self.columns.row is None:
            raise ValueError("a paired design needs columns.row: without row ids nothing can be paired")
        self._check_guardrails()
        return self

    def _check_guardrails(self) -> None:
        names = [guardrail.name for guardrail in self.guardrails]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"guardrails are held once each; twice: {', '.join(twice)}")
        for guardrail in self.guardrails:
            if guardrail.kind == "metric" and guardrail.metric == self.metric:
                raise ValueError(f"guardrail '{self.metric}': the primary metric is held by minimum_effect")
            if guardrail.kind == "segments" and self.columns.segment is None:
                raise ValueError(f"guardrail '{guardrail.name}' needs columns.segment: the column that names segments")
            if guardrail.kind == "latency" and self.num_timed_batches < guardrail.num_batches_needed:
                raise ValueError(
                    f"guardrail '{guardrail.name}' needs num_batches of at least {guardrail.num_batches_needed}: "
                    f"{self.num_timed_batches} timed batches tell too little of it"
                )

    @property
    def num_timed_batches(self) -> int:
        """Batches that each slot times of the control and of an arm, for all guardrails that need it; 0: none does."""
        return max((each.num_batches for each in self.guardrails if isinstance(each, LatencyGuardrail)), default=0)
