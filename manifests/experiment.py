"""Experiment: one dataset, one suite, many arms."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.arm import Arm
from assay.manifests.base import CIRCUMSTANCE, LOCATION, Digest, Manifest, Name
from assay.manifests.budget import Budget, Prices
from assay.manifests.errors import ManifestError, did_you_mean
from assay.manifests.race import Race
from assay.manifests.resources import Resources
from assay.manifests.suite import Suite
from assay.manifests.sweep import Sweep

_NUM_SHOWN = 5


class Experiment(Manifest):
    """What is run: resolved to digests and checked before any slot is asked for."""

    kind: Literal["Experiment"]
    """Always `Experiment`."""
    version: Literal[1]
    """The version of this manifest's form."""
    name: Annotated[Name, Field(max_length=80)]
    """The first part of the run's id: at most 80 characters."""
    dataset: str = Field(min_length=1, json_schema_extra=LOCATION)
    """A frozen dataset in a store (a folder or URI): `STORE/name@version`; or `STORE/name@sha256:...`, the version of
    that name whose digest begins so (at least 12 digits)."""
    dataset_digest: Digest | None = None
    """The dataset's digest. Filled when a run is resolved; if given, it must match."""
    suite: Suite
    """The suite, inline or as a path to its file."""
    arms: tuple[Arm, ...] = ()
    """The variants that are compared; `suite.plan.control` names one of them or of the sweep's."""
    sweep: Sweep | None = None
    """More arms, from one variant. Null in the experiment that a run records: there all arms are written out."""
    aa: bool = False
    """Whether the control is scored once more, as the arm `CONTROL-again` behind all others. By how much it then
    differs from itself on the primary metric is noise, and no arm is promoted for an improvement that is not larger.
    The experiment that a run records has that arm written out."""
    resources: Resources = Field(default=Resources(), json_schema_extra=CIRCUMSTANCE)
    """What a slot holds. Changes time and cost, never a score: no part of the digest."""
    race: Race | None = None
    """Drops arms that are clearly worse before they have scored every row. Null: every arm scores every row."""
    prices: Prices = Field(default_factory=Prices, json_schema_extra=CIRCUMSTANCE)
    """What slots cost an hour."""
    budget: Budget | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """What may be spent. Null: no bound."""
    project: Name | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """Who pays: runs of the ledger that name the same project share its budget. As recorded when a run is opened."""
    project_budget: Budget | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """What all runs of the project in this ledger may spend together; what the others leave bounds this run."""
    require_clean: bool = Field(default=False, json_schema_extra=CIRCUMSTANCE)
    """Refuse to evaluate anything unless the folder that one works in is a repository without uncommitted changes."""
    store_patch: bool = Field(default=False, json_schema_extra=CIRCUMSTANCE)
    """Keep uncommitted changes in the ledger as a patch, new files included: whatever stands in them, anyone who reads
    the ledger can read. Otherwise the lineage has only a digest of them."""
    ledger: str = Field(min_length=1, json_schema_extra=LOCATION)
    """The store (a folder or URI) where evidence is kept."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.race is not None and self.suite.primary.row_measure is None:
            raise ValueError(
                f"a race needs a primary metric that is a mean of rows' scores; {self.suite.primary.measure} is made "
                "of the whole dataset"
            )
        if self.project_budget is not None and self.project is None:
            raise ValueError("project_budget bounds a project's runs: say which with 'project: NAME'")
        if self.budget is not None:
            self._check_that_slots_spend("budget", self.budget)
        if self.project_budget is not None:
            self._check_that_slots_spend("project_budget", self.project_budget.model_copy(update={"gpu_hours": None}))
        if self.sweep is None:
            self._check_arms(self._with_aa(self.arms))
        elif self.sweep.weights is None:  # otherwise the arms are known only once the files are listed
            self._check_arms(self._with_aa((*self.arms, *self.sweep.arms())))
        return self

    @property
    def aa_arm(self) -> str | None:
        """The name of the arm that is the control once more; None if none was asked for."""
        return f"{self.suite.plan.control}-again" if self.aa else None

    def expanded(self, weights: Mapping[str, str] | None = None) -> Self:
        """The same experiment with all arms written out: its own, those of its sweep, and the control once more.

        Args:
            weights: What `sweep.weights` stands for: each file's location by its name, in order.

        Raises:
            ManifestError: The arms are too many, or do not agree with each other or with the suite.
        """
        try:
            arms = self._with_aa((*self.arms, *(self.sweep.arms(weights) if self.sweep is not None else ())))
            self._check_arms(arms)
        except ValueError as error:
            raise ManifestError(str(error), place=f"experiment '{self.name}'", field="sweep") from None
        return self.model_copy(update={"arms": arms, "sweep": None})

    def _with_aa(self, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        """The arms and, if asked for, the control once more: unless it is written out already, as a run records it."""
        control = next((arm for arm in arms if arm.name == self.suite.plan.control), None)
        if self.aa_arm is None or control is None:
            return arms
        again = Arm(name=self.aa_arm, variant=control.variant, accelerator_type=control.accelerator_type)
        if again in arms:
            return arms
        if again.name in [arm.name for arm in arms]:
            raise ValueError(
                f"aa: true adds the control once more as '{again.name}', but another arm has that name; rename it"
            )
        return (*arms, again)

    def _check_that_slots_spend(self, field: str, budget: Budget) -> None:
        """A bound on what slots never use would never stop anything."""
        prices, held = self.prices, self.resources
        gpu_hour = max(prices.gpu_hour, *prices.gpu_hour_by_type.values(), 0.0)
        if budget.gpu_hours is not None and not held.num_gpus:
            raise ValueError(f"{field}.gpu_hours bounds GPUs, but resources.num_gpus is 0")
        if budget.price is not None and not held.num_cpus * prices.cpu_hour + held.num_gpus * gpu_hour:
            raise ValueError(f"{field}.price bounds what slots cost, but prices gives none for what resources hold")

    def _check_arms(self, arms: Sequence[Arm]) -> None:
        if not arms:
            raise ValueError("there is nothing to compare; add 'arms:', a 'sweep:' or both")
        names = [arm.name for arm in arms]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"arm names are unique; twice: {', '.join(twice)}")
        control = self.suite.plan.control
        if control not in names:
            raise ValueError(f"suite.plan.control is '{control}', but no arm has that name; {_nearest(control, names)}")
        metrics = {metric.name for metric in self.suite.metrics}
        for name in self.suite.plan.margins:
            if name not in names:
                remedy = "write a metric under plan.guardrails" if name in metrics else _nearest(name, names)
                raise ValueError(f"suite.plan.margins names '{name}', which is no arm; {remedy}")
        for arm in arms:
            for metric in self.suite.metrics:
                if not metric.accepts(arm.variant.output):
                    raise ValueError(
                        f"arm '{arm.name}' answers with {arm.variant.output}, from which metric '{metric.name}' "
                        f"({metric.measure}) cannot be made"
                    )


def _nearest(name: str, known: list[str]) -> str:
    """Like `did_you_mean`, but of thousands of names it lists only the nearest."""
    near = get_close_matches(name, known, n=_NUM_SHOWN, cutoff=0.0)
    remedy = did_you_mean(name, near)
    num_more = len(known) - len(near)
    return remedy if remedy.startswith("did you mean") or not num_more else f"{remedy} and {num_more:,} more"
