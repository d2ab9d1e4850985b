"""Experiment: one dataset, one suite, many arms."""

from typing import Literal, Self

from pydantic import Field, model_validator

from manifests.base import CIRCUMSTANCE, LOCATION, Digest, Manifest, Name
from manifests.errors import did_you_mean
from manifests.resources import Resources
from manifests.suite import Suite
from manifests.variant import Variant


class Arm(Manifest):
    """A variant in one experiment."""

    name: Name
    """The arm's name in tables and file names."""
    variant: Variant
    """The variant, inline or as a path to its file."""


class Experiment(Manifest):
    """What is run: resolved to digests and checked before any slot is asked for."""

    kind: Literal["Experiment"]
    """Always `Experiment`."""
    version: Literal[1]
    """The version of this manifest's form."""
    name: Name
    """The first part of the run's id."""
    dataset: str = Field(min_length=1, json_schema_extra=LOCATION)
    """`STORE/name@version`: a frozen dataset in a store (a folder or URI)."""
    dataset_digest: Digest | None = None
    """The dataset's digest. Filled when a run is resolved; if given, it must match."""
    suite: Suite
    """The suite, inline or as a path to its file."""
    arms: tuple[Arm, ...] = Field(min_length=1)
    """The variants that are compared; `suite.plan.control` names one of them."""
    resources: Resources = Field(default=Resources(), json_schema_extra=CIRCUMSTANCE)
    """What a slot holds. Changes time and cost, never a score: no part of the digest."""
    ledger: str = Field(min_length=1, json_schema_extra=LOCATION)
    """The store (a folder or URI) where evidence is kept."""

    @model_validator(mode="after")
    def _arms_agree(self) -> Self:
        names = [arm.name for arm in self.arms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"arm names are unique; twice: {', '.join(twice)}")
        control = self.suite.plan.control
        if control not in names:
            raise ValueError(
                f"suite.plan.control is '{control}', but no arm has that name; {did_you_mean(control, names)}"
            )
        metrics = [metric.name for metric in self.suite.metrics]
        for name in self.suite.plan.margins:
            if (name in names) == (name in metrics):
                why = "both an arm and a metric" if name in names else "neither an arm nor a metric"
                raise ValueError(f"suite.plan.margins names '{name}', {why}; {did_you_mean(name, names + metrics)}")
        for arm in self.arms:
            for metric in self.suite.metrics:
                if not metric.accepts(arm.variant.output):
                    raise ValueError(
                        f"arm '{arm.name}' answers with {arm.variant.output}, from which metric '{metric.name}' "
                        f"({metric.measure}) cannot be made"
                    )
        return self
