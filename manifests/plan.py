"""Plan: the statistical analysis, fixed before any result exists."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest, Named
from assay.manifests.guardrail import Guardrail, LatencyGuardrail
from assay.manifests.measures import Direction, Scale

Margins = Named[Annotated[float, Field(ge=0)]]

Omnibus = Literal["auto", "rm_anova", "hotelling", "friedman", "cochran_q", "welch", "oneway", "kruskal", "chi_square"]
Posthoc = Literal["auto", "max_t", "mcnemar_holm", "t_holm", "tukey_hsd", "games_howell", "dunnett"]


class PlanColumns(Manifest):
    """The columns of a table of scores. In a suite's plan only `segment` and `cluster` are used."""

    arm: str = "arm"
    """Long form: the column with the arm's name. Default: `arm`."""
    row: str | None = "row_id"
    """The column with the row's id. Default: `row_id`. Null: none, which is allowed for unpaired scores only."""
    score: str = "score"
    """Long form: the column with the score. Default: `score`."""
    arms: Literal["*"] | tuple[str, ...] | None = None
    """Wide form: the columns with the scores of each arm; `*`: every column that is not named here. Null (default): the
    table is in long form, with one row per arm and row id."""
    segment: str | None = None
    """The column that groups rows into segments, for separate estimates. Null (default): none."""
    cluster: str | None = None
    """The column that groups rows that are not independent, such as those of one user; errors are then cluster-robust.
    Null (default): rows are independent."""


class Plan(Manifest):
    """Which arms are compared, how, and what effect matters. Its digest is recorded before the first unit is scored."""

    kind: Literal["Plan"]
    """Always `Plan`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    metric: str | None = None
    """Name of the primary metric, on which arms are compared. Required in a suite's plan; optional for a table of
    scores."""
    direction: Direction = "higher"
    """Which direction of the primary metric is better. Default: `higher`."""
    scale: Scale = "continuous"
    """Kind of scores: `binary` (0 or 1), `continuous` (default), `count` or `ordinal` (grades). `omnibus: auto` and
    `posthoc: auto` choose tests by it."""
    design: Literal["paired", "unpaired"] = "paired"
    """`paired` (default): every arm scored the same rows. `unpaired`: each arm has rows of its own."""
    control: str = Field(min_length=1)
    """Name of the arm that the others are compared with."""
    family: Literal["dunnett", "tukey"] = "dunnett"
    """The comparisons that share `alpha`. `dunnett` (default): every arm with the control. `tukey`: all pairs of
    arms."""
    omnibus: Omnibus = "auto"
    """Test of the hypothesis that no arms differ. Default: `auto`. Paired: Cochran's Q (binary), Friedman (ordinal),
    else repeated-measures ANOVA. Unpaired: chi-square, Kruskal-Wallis, Welch. With clusters, only
    `auto` is allowed; it is a Wald test."""
    posthoc: Posthoc = "auto"
    """Method of the comparisons in the family. Default: `auto`. Paired: max-T, or McNemar with Holm for binary scores
    with few discordant rows. Unpaired: score tests with Holm (binary), Games-Howell (`tukey`), Welch's t with Holm
    (`dunnett`). Unpaired with clusters, only `auto` is allowed; it is max-T."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Family-wise error rate, two-sided: all intervals of the family cover simultaneously with probability 1 - alpha.
    Default: 0.05."""
    missing: Literal["refuse", "worst", "listwise"] = "refuse"
    """What to do if a row has no score in some arm. `refuse` (default): in a run, do not compare the arm (nothing, if it
    is the control); for a table of scores, stop with an error. `worst`: use the metric's worst score; not possible for a
    primary metric of the whole dataset, whose arms are then not compared. `listwise`: leave the row out of every arm.
    The report counts such rows."""
    minimum_effect: float = Field(default=0.0, ge=0)
    """Smallest improvement worth shipping, in units of the score. With `promote_on: improvement`, an arm is promoted
    only if its whole interval is beyond it. Default: 0."""
    margins: Margins = Field(default_factory=dict, validate_default=True)
    """Non-inferiority margins by arm: how much worse than the control the arm may be, in units of the score. Default:
    none; needed for `promote_on: non_inferiority` and `promote_equal_at_cost_ratio` in the policy."""
    guardrails: tuple[Guardrail, ...] = ()
    """What no arm may make worse, each with its own bound. Only in a suite's plan. Default: none."""
    columns: PlanColumns = PlanColumns()
    """The columns of the table of scores; in a suite's plan, `segment` and `cluster` name columns of the dataset."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.design == "paired" and self.columns.row is None:
            raise ValueError("a paired design needs columns.row, because scores are paired by row id")
        self._check_guardrails()
        return self

    def _check_guardrails(self) -> None:
        names = [guardrail.name for guardrail in self.guardrails]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"guardrails must be unique; given more than once: {', '.join(twice)}")
        for guardrail in self.guardrails:
            if guardrail.kind == "metric" and guardrail.metric == self.metric:
                raise ValueError(
                    f"guardrail '{self.metric}': the primary metric cannot be a guardrail; its bound is minimum_effect"
                )
            if guardrail.kind == "segments" and self.columns.segment is None:
                raise ValueError(
                    f"guardrail '{guardrail.name}' needs columns.segment, the column that defines segments"
                )
            if guardrail.kind == "latency" and self.num_timed_batches < guardrail.num_batches_needed:
                raise ValueError(
                    f"guardrail '{guardrail.name}' needs num_batches of at least {guardrail.num_batches_needed}: "
                    f"{self.num_timed_batches} timed batches are too few for an interval"
                )

    @property
    def num_timed_batches(self) -> int:
        """Batches of the control and of an arm that each slot times, for all latency guardrails; 0: there are none."""
        return max((each.num_batches for each in self.guardrails if isinstance(each, LatencyGuardrail)), default=0)
