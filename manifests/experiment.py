"""Experiment: one dataset, one suite, and the arms to compare."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from assay.manifests.arm import Arm
from assay.manifests.base import CIRCUMSTANCE, LOCATION, Digest, Manifest, Name
from assay.manifests.base_variant import Output
from assay.manifests.budget import Budget, Prices
from assay.manifests.errors import ManifestError, did_you_mean
from assay.manifests.race import Race
from assay.manifests.resources import Resources
from assay.manifests.suite import Suite
from assay.manifests.sweep import Sweep

_NUM_SHOWN = 5

DistributionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
"""The name of a distribution, as `pip install` takes it, without a version."""


class Experiment(Manifest):
    """What `assay run` and `assay submit` execute: a dataset, a suite, the arms, and the resources for them.

    Everything it refers to is resolved to digests and checked before any slot starts.
    """

    kind: Literal["Experiment"]
    """Always `Experiment`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    name: Annotated[Name, Field(max_length=80)]
    """Name of the experiment and first part of the run's id; at most 80 characters."""
    dataset: str = Field(min_length=1, json_schema_extra=LOCATION)
    """The frozen dataset: `STORE/name@version`, where STORE is a folder or URI; or `STORE/name@sha256:...`, the version
    of that name whose digest starts with these digits (at least 12)."""
    dataset_digest: Digest | None = None
    """Digest of the dataset. Null (default): filled in when a run starts. Set it to pin the rows: it must
    match."""
    suite: Suite
    """The suite: inline, or the path of its file."""
    arms: tuple[Arm, ...] = ()
    """The arms to compare; one of these or of the sweep's must be `suite.plan.control`. Default: only those of the
    sweep."""
    sweep: Sweep | None = None
    """Generates more arms from one variant. Null (default): none. The run's record lists the generated arms
    under `arms` and has null here."""
    aa: bool = False
    """Whether to score the control a second time, as an additional last arm `CONTROL-again` (the A/A arm). Its
    difference from the control on the primary metric is noise: an arm is promoted only if its improvement is larger than
    this noise. Default: false; turn it on if scoring may not be deterministic. The run's record
    lists this arm under `arms`."""
    packages: tuple[DistributionName, ...] = Field(default=(), json_schema_extra=CIRCUMSTANCE)
    """Installed distributions whose functions may be an `entrypoint` or a `scorer`, such as `[scikit-learn]`. Default:
    none; they then come from your own modules only. Packages that your modules import need not be named. The standard
    library cannot be named."""
    resources: Resources = Field(default=Resources(), json_schema_extra=CIRCUMSTANCE)
    """Resources of a slot and limits on slots. They change time and cost but not scores, so they are not in the
    digest."""
    race: Race | None = None
    """Eliminates arms that are clearly worse before they have scored every row. Null (default): every arm scores every
    row."""
    prices: Prices = Field(default_factory=Prices, json_schema_extra=CIRCUMSTANCE)
    """Hourly prices of CPUs and GPUs, for cost reports and for limits on `price`. Default: all 0."""
    budget: Budget | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """How much the run may spend. Null (default): no limit."""
    project: Name | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """Name of a project: runs in the ledger with the same project share `project_budget`. Null (default): none.
    Recorded when a run is opened."""
    project_budget: Budget | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """How much all runs of the project in this ledger may spend together; this run may spend what the others have left.
    Null (default): no limit."""
    require_clean: bool = Field(default=False, json_schema_extra=CIRCUMSTANCE)
    """Refuse to run unless the working directory is in a Git repository without uncommitted changes. Default: false."""
    store_patch: bool = Field(default=False, json_schema_extra=CIRCUMSTANCE)
    """Store uncommitted changes, new files included, in the ledger as a patch, where everyone who can read the ledger
    can read them. Default: false; the lineage then records only a digest of the changes."""
    ledger: str = Field(min_length=1, json_schema_extra=LOCATION)
    """The ledger: the store (a folder or URI) to which the run writes its results."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.race is not None and not self.suite.primary.scores_rows:
            raise ValueError(
                f"a race needs a primary metric that is a mean of row scores; {self.suite.primary.measure} is computed "
                "from the whole dataset"
            )
        if self.project_budget is not None and self.project is None:
            raise ValueError("project_budget needs the name of the project; add 'project: NAME'")
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
        """The name of the A/A arm, which scores the control a second time; None without `aa`."""
        return f"{self.suite.plan.control}-again" if self.aa else None

    def expanded(self, weights: Mapping[str, str] | None = None) -> Self:
        """The same experiment with all arms written out: its own, those of its sweep, and the A/A arm.

        Args:
            weights: The files that `sweep.weights` matches: each file's location by its name, in order.

        Raises:
            ManifestError: There are too many arms, or they contradict each other or the suite.
        """
        try:
            arms = self._with_aa((*self.arms, *(self.sweep.arms(weights) if self.sweep is not None else ())))
            self._check_arms(arms)
        except ValueError as error:
            raise ManifestError(str(error), place=f"experiment '{self.name}'", field="sweep") from None
        return self.model_copy(update={"arms": arms, "sweep": None})

    def _with_aa(self, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        """The arms, plus the A/A arm where `aa` is set and it is not written out already, as in a recorded run."""
        control = next((arm for arm in arms if arm.name == self.suite.plan.control), None)
        if self.aa_arm is None or control is None:
            return arms
        again = Arm(name=self.aa_arm, variant=control.variant, accelerator_type=control.accelerator_type)
        if again in arms:
            return arms
        if again.name in [arm.name for arm in arms]:
            raise ValueError(
                f"aa: true adds the control a second time as '{again.name}', but another arm has that name; rename it"
            )
        return (*arms, again)

    def _check_that_slots_spend(self, field: str, budget: Budget) -> None:
        """Raises ValueError for a limit on something that slots never use: it could never stop anything."""
        prices, held = self.prices, self.resources
        gpu_hour = max(prices.gpu_hour, *prices.gpu_hour_by_type.values(), 0.0)
        if budget.gpu_hours is not None and not held.num_gpus:
            raise ValueError(
                f"{field}.gpu_hours limits GPU use, but resources.num_gpus is 0; remove it or set num_gpus"
            )
        if budget.price is not None and not held.num_cpus * prices.cpu_hour + held.num_gpus * gpu_hour:
            raise ValueError(
                f"{field}.price limits cost, but the resources of a slot have no price; add them under 'prices:'"
            )

    def _check_arms(self, arms: Sequence[Arm]) -> None:
        if not arms:
            raise ValueError("the experiment has no arms; add 'arms:', a 'sweep:' or both")
        names = [arm.name for arm in arms]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"arm names must be unique; given more than once: {', '.join(twice)}")
        control = self.suite.plan.control
        if control not in names:
            raise ValueError(f"suite.plan.control is '{control}', but no arm has that name; {_nearest(control, names)}")
        metrics = {metric.name for metric in self.suite.metrics}
        for name in self.suite.plan.margins:
            if name not in names:
                remedy = "put a metric under plan.guardrails" if name in metrics else _nearest(name, names)
                raise ValueError(f"suite.plan.margins names '{name}', which is not an arm; {remedy}")
        for arm in arms:
            for metric in self.suite.metrics:
                accepted = [output for output in get_args(Output) if metric.accepts(output)]
                if arm.variant.output not in accepted:
                    raise ValueError(
                        f"arm '{arm.name}' returns {arm.variant.output}, from which metric '{metric.name}' "
                        f"({metric.measure}) cannot be computed; return {' or '.join(accepted)} from the variant, or remove "
                        "the metric"
                    )


def _nearest(name: str, candidates: list[str]) -> str:
    """Like `did_you_mean`, but lists only the nearest of thousands of names."""
    near = get_close_matches(name, candidates, n=_NUM_SHOWN, cutoff=0.0)
    remedy = did_you_mean(name, near)
    num_more = len(candidates) - len(near)
    return remedy if remedy.startswith("did you mean") or not num_more else f"{remedy} and {num_more:,} more"
