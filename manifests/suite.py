"""Suite: the metrics, plan and policy of one use case."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest
from assay.manifests.errors import did_you_mean
from assay.manifests.metric import Metric
from assay.manifests.plan import Plan
from assay.manifests.policy import Policy


class Determinism(Manifest):
    """Settings that make the same inputs give bit-identical scores."""

    algorithms: Literal["deterministic", "warn", "any"] = "deterministic"
    """What to do about torch operations without a deterministic implementation. `deterministic` (default): they raise
    an error. `warn`: they warn. `any`: they are allowed, and faster non-deterministic ones are used."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of each torch operation. Default: 1. Changing it can change scores, because it changes the order of
    sums."""
    tf32: Literal["forbid", "allow"] = "forbid"
    """Whether matrix products and convolutions on a GPU may use TensorFloat-32, which is faster and less exact.
    Default: `forbid`."""


class Suite(Manifest):
    """How variants are scored and compared for one use case. Shared by the experiments of that use case."""

    kind: Literal["Suite"]
    """Always `Suite`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    batch_size: int = Field(ge=1, le=1_048_576)
    """Number of rows in a batch, the same for every arm. The last batch is padded to this size. Changing it can change
    scores."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Random seed of Python, NumPy and torch; all are seeded from it before every unit. Default: 0."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """How many times every row of every arm is scored, in one loaded variant. Default: 1. Raise it for variants that
    draw random numbers: the first repeat uses `seed`, the next `seed` + 1, and so on. A row's score is the mean over
    the repeats; its prediction and probabilities are those of the first."""
    determinism: Determinism = Determinism()
    """Determinism settings. They are applied before a variant is loaded; the values in effect are recorded."""
    on_batch_sensitivity: Literal["fail", "warn", "batch_size_1"] = "warn"
    """What to do about an arm whose scores depend on the batch size by more than `batch_sensitivity_tolerance`. `warn`
    (default): report it, and promote the arm only for an improvement larger than that change. `fail`: the arm fails.
    `batch_size_1`: its rows are scored one by one."""
    batch_sensitivity_tolerance: float = Field(default=0.001, ge=0)
    """Largest change of the primary metric, in its units, between batches and single rows, measured on a sample of
    rows. Default: 0.001."""
    store_probabilities: Literal["needed", "always"] = "needed"
    """Whether the ledger stores the probabilities of every row, at 8 bytes per class. `needed` (default): only if a
    metric is computed from them. `always`: whenever the variant returns them."""
    metrics: tuple[Metric, ...] = Field(min_length=1)
    """The metrics to compute for every arm; at least one."""
    plan: Plan
    """The analysis plan: its `metric` is the primary metric, its `guardrails` are what no arm may make worse. Inline,
    or the path of its file."""
    policy: Policy
    """The rule by which the gate decides. Inline, or the path of its file."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"metric names must be unique; given more than once: {', '.join(twice)}")
        if self.plan.metric is None:
            raise ValueError("plan.metric must name the primary metric of the suite")
        if self.plan.metric not in names:
            raise ValueError(
                f"plan.metric is '{self.plan.metric}', but no metric has that name; "
                f"{did_you_mean(self.plan.metric, names)}"
            )
        self._check_repeats()
        if self.primary.direction != self.plan.direction:
            raise ValueError(
                f"plan.direction is {self.plan.direction}, but metric '{self.plan.metric}' has the direction "
                f"{self.primary.direction}; set 'direction: {self.primary.direction}' in the plan"
            )
        if not self.primary.fits_scale(self.plan.scale):
            raise ValueError(
                f"plan.scale is {self.plan.scale}, but scores of '{self.plan.metric}' are {self.primary.scale}; "
                f"use 'scale: {self.primary.scale}' in the plan"
                + ", or correct the metric's 'scale'"
                * self.primary.definition.accepts("scale")
            )
        compared = {self.primary.name}
        for guardrail in self.plan.guardrails:
            named = getattr(guardrail, "metric", self.plan.metric)
            if named not in names:
                raise ValueError(
                    f"plan.guardrails names '{named}', but no metric has that name; {did_you_mean(named, names)}"
                )
            compared.add(named)
        for metric in self.metrics:
            if metric.name in compared and metric.of_queries and self.plan.columns.cluster is None:
                raise ValueError(
                    f"metric '{metric.name}' is compared query by query, so plan.columns.cluster must name the "
                    "dataset's cluster column, which identifies the queries"
                )
        if self.plan.design != "paired":
            raise ValueError("plan.design must be paired in a suite, because every arm scores the same rows")
        self.check_policy(self.policy)
        return self

    def _check_repeats(self) -> None:
        unscored = [f"'{metric.name}' ({metric.measure})" for metric in self.metrics if not metric.scores_rows]
        if self.repeats > 1 and unscored:
            raise ValueError(
                f"repeats is {self.repeats}, but {', '.join(unscored)} have no row scores that could be averaged over "
                "repeats; remove them, or use 'repeats: 1'"
            )

    def check_policy(self, policy: Policy) -> None:
        """Checks that a policy names only metrics of the suite.

        Raises:
            ValueError: It names another one.
        """
        names = [metric.name for metric in self.metrics]
        for name in policy.tie_breakers:
            if (name == "cost") == (name in names):
                if name == "cost":
                    raise ValueError(
                        "policy.tie_breakers names 'cost', which is also the name of a metric; rename the metric"
                    )
                raise ValueError(
                    f"policy.tie_breakers names '{name}', which is neither a metric nor 'cost'; "
                    f"{did_you_mean(name, [*names, 'cost'])}"
                )

    @property
    def stores_probabilities(self) -> bool:
        """Whether the ledger stores probabilities of variants that return them."""
        return self.store_probabilities == "always" or any(metric.stores_probabilities for metric in self.metrics)

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    @property
    def primary(self) -> Metric:
        """The primary metric."""
        return self.metric(self.plan.metric or "")
