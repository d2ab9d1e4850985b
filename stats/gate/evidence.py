"""Evidence: what is known about a run in addition to its analysis, as far as it can affect a decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ArmCost:
    """The cost of evaluating one arm on every row; None: unknown.

    Attributes:
        price: Cost by the experiment's prices.
        gpu_s: GPU-seconds.
        cpu_s: CPU-core-seconds.
    """

    price: float | None = None
    gpu_s: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True)
class ArmEvidence:
    """What is known about the arms in addition to their scores, as far as the benchmark's decision uses it.

    Attributes:
        failed: Arms that could not be measured, with the reason. They are held, never rejected.
        eliminated: Arms that were eliminated in a race, with the reason. They are rejected.
        noise_floors: How much an arm's primary metric depends on the batch size, in its units. An arm is held if its
            improvement is not larger than its own or the control's.
        aa_arm: The A/A arm, which scores the control a second time; None without one. Its difference from the control
            is a noise floor for every arm. It is always held itself.
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    eliminated: Mapping[str, str] = field(default_factory=dict)
    noise_floors: Mapping[str, float] = field(default_factory=dict)
    aa_arm: str | None = None


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check of a run or its dataset.

    Attributes:
        passed: Whether it passed; None: not checked, or nothing to check.
        summary: The outcome as text.
    """

    passed: bool | None = None
    summary: str = ""


@dataclass(frozen=True)
class Evidence:
    """What is known about a run in addition to its analysis.

    Attributes:
        dataset: The dataset as text: name, digest, rows.
        arms: What is known about the arms.
        costs: Costs of the arms, including the control.
        budget: Whether the run stayed within its budget.
        num_rows: The number of rows of the dataset.
        num_warnings: How many rules of the contract its rows violated that only warn.
        verified: How many rows of each arm were scored again and matched; arms that were not are absent.
        differing: Arms whose scores differed when they were scored again.
        confounded: Arms that were scored in a different environment than the control, each with what differs.
        altered: Arms that were scored after other arms had changed the process, each with what they had changed.
        altered_analysis: What arms had changed in the process that has analysed them; empty: nothing that matters.
        dataset_location: Location of the dataset, for suggested commands.
        withdrawn: By whom and why the dataset was withdrawn; empty if it was not.
        leakage: Whether a search for leaks found none.
        drift: Whether a comparison with an earlier version found no drift.
        metrics: Every arm's metrics by name, for tie-breakers.
        directions: Which direction of a metric is better.
        run: The arguments that name the run in suggested commands.
        policy_is_recorded: Whether the policy is the one that was recorded before the scores.
    """

    dataset: str
    arms: ArmEvidence = ArmEvidence()
    costs: Mapping[str, ArmCost] = field(default_factory=dict)
    budget: CheckOutcome = CheckOutcome(None, "no budget was set")
    num_rows: int = 0
    num_warnings: int = 0
    verified: Mapping[str, int] = field(default_factory=dict)
    differing: Sequence[str] = ()
    confounded: Mapping[str, str] = field(default_factory=dict)
    altered: Mapping[str, str] = field(default_factory=dict)
    altered_analysis: str = ""
    dataset_location: str = "STORE/NAME@VERSION"
    withdrawn: str = ""
    leakage: CheckOutcome = CheckOutcome()
    drift: CheckOutcome = CheckOutcome()
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    run: str = "RUN"
    policy_is_recorded: bool = True

    def cost_ratio(self, arm: str, control: str) -> tuple[float, str] | None:
        """An arm's cost relative to the control's, as a number and as text: by price, else GPU- or CPU-seconds."""
        ours, theirs = self.costs.get(arm, ArmCost()), self.costs.get(control, ArmCost())
        for measure, unit in (("price", "price"), ("gpu_s", "GPU-seconds"), ("cpu_s", "CPU-seconds")):
            cost, reference = getattr(ours, measure), getattr(theirs, measure)
            if cost is not None and reference:
                return cost / reference, f"{cost / reference:.3g} times the control's {unit}"
        return None
