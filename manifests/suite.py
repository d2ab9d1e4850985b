"""Suite: metrics, plan and policy, defined once per use case."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Manifest
from assay.manifests.errors import did_you_mean
from assay.manifests.metric import Metric
from assay.manifests.plan import Plan
from assay.manifests.policy import Policy


class Determinism(Manifest):
    """What is switched on so that the same inputs give the same bits."""

    algorithms: Literal["deterministic", "warn", "any"] = "deterministic"
    """Refuse, report or allow torch operations without a deterministic form."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of a torch operation: the order of a sum depends on it."""
    tf32: Literal["forbid", "allow"] = "forbid"
    """TensorFloat-32 in matrix products and convolutions on a GPU."""


class Suite(Manifest):
    """How variants are scored and compared for one use case."""

    kind: Literal["Suite"]
    """Always `Suite`."""
    version: Literal[1]
    """The version of this manifest's form."""
    batch_size: int = Field(ge=1, le=1_048_576)
    """Rows scored together, the same for every arm. The last batch is padded to this size."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seeds Python, NumPy and torch before every unit."""
    repeats: int = Field(default=1, ge=1, le=1000)
    """How often every row of every arm is scored, in one loaded variant, for variants that draw random numbers: pass
    after pass, the first under `seed`, the next under `seed` + 1. A row's score is the mean over the passes; its
    prediction and probabilities are those of the first."""
    determinism: Determinism = Determinism()
    """Determinism flags, set before a variant is loaded and recorded as found."""
    on_batch_sensitivity: Literal["fail", "warn", "batch_size_1"] = "warn"
    """What happens to an arm whose scores depend on the batch size by more than the tolerance: it fails, it is told
    and cannot be promoted for less than that, or its rows are scored one by one."""
    batch_sensitivity_tolerance: float = Field(default=0.001, ge=0)
    """How far the batch size may move the primary metric, in its units, as a sample of rows shows."""
    store_probabilities: Literal["needed", "always"] = "needed"
    """Whether the ledger keeps the probabilities of every row though no metric is made of them: 8 bytes a class."""
    metrics: tuple[Metric, ...] = Field(min_length=1)
    """Everything that is measured."""
    plan: Plan
    """The analysis: its `metric` is the primary one, its `guardrails` are what no arm may make worse."""
    policy: Policy
    """The rule of the gate."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [metric.name for metric in self.metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"metric names are unique; twice: {', '.join(twice)}")
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
                f"plan.direction is {self.plan.direction}, but for '{self.plan.metric}' "
                f"{self.primary.direction} is better"
            )
        if self.primary.is_binary != (self.plan.scale == "binary"):
            raise ValueError(
                f"plan.scale is {self.plan.scale}, but scores of '{self.plan.metric}' are "
                f"{'0 or 1: binary' if self.primary.is_binary else 'numbers: continuous'}"
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
                    f"metric '{metric.name}' is compared query by query, so its rows are not independent: "
                    "plan.columns.cluster must name the dataset's cluster column, which tells the queries"
                )
        if self.plan.design != "paired":
            raise ValueError("a suite's plan is paired: every arm scores the same rows")
        self.check_policy(self.policy)
        return self

    def _check_repeats(self) -> None:
        whole = [f"'{metric.name}' ({metric.measure})" for metric in self.metrics if metric.row_measure is None]
        if self.repeats > 1 and whole:
            raise ValueError(
                f"repeats is {self.repeats}, but {', '.join(whole)} give rows no scores that could be averaged over "
                "passes; leave them out, or take 'repeats: 1'"
            )

    def check_policy(self, policy: Policy) -> None:
        """Raises ValueError where a policy speaks of metrics that the suite has not."""
        names = [metric.name for metric in self.metrics]
        for name in policy.tie_breakers:
            if (name == "cost") == (name in names):
                why = "both a metric and what an arm costs" if name == "cost" else "neither a metric nor 'cost'"
                raise ValueError(f"policy.tie_breakers names '{name}', {why}; {did_you_mean(name, [*names, 'cost'])}")

    @property
    def stores_probabilities(self) -> bool:
        """Whether the ledger keeps probabilities, of variants that give them."""
        return self.store_probabilities == "always" or any(metric.of_probabilities for metric in self.metrics)

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    @property
    def primary(self) -> Metric:
        """The metric that decides."""
        return self.metric(self.plan.metric or "")
