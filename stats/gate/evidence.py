"""Evidence: what is known of a run beside its analysis, as far as a decision may rest on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ArmCost:
    """What it costs to evaluate one arm on every row; None is not known.

    Attributes:
        price: By the experiment's prices.
        gpu_s: Seconds of GPUs.
        cpu_s: Seconds of CPU cores.
    """

    price: float | None = None
    gpu_s: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True)
class ArmEvidence:
    """What is known of the arms beside their scores: all that the benchmark's decision rests on beside the analysis.

    Attributes:
        failed: Arms that could not be measured, with the reason. They are held, never rejected.
        eliminated: Arms that were eliminated in a race, with the reason. They are rejected.
        noise_floors: By how much an arm's primary metric depends on the batch size, in its units. An improvement that
            is not larger than the arm's or the control's is no improvement of the arm: it is held.
        aa_arm: The arm that is the control once more, if there is one: by how much it differs from the control is a
            noise floor of every arm. It is held itself.
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    eliminated: Mapping[str, str] = field(default_factory=dict)
    noise_floors: Mapping[str, float] = field(default_factory=dict)
    aa_arm: str | None = None


@dataclass(frozen=True)
class CheckOutcome:
    """What came of one check of a run or its dataset.

    Attributes:
        passed: None: nobody has checked, or there is nothing to check.
        summary: The same in words.
    """

    passed: bool | None = None
    summary: str = ""


@dataclass(frozen=True)
class Evidence:
    """What is known of a run beside its analysis.

    Attributes:
        dataset: The dataset in words: name, digest, rows.
        arms: What is known of the arms.
        costs: What arms cost, the control among them.
        budget: Whether the run kept its budget.
        verification: What came of scoring the run again; None: nobody has.
        verified_rows: How many rows were scored again, in words.
        confounded: Arms that were scored under another identity than the control's, each with what differs.
        dataset_location: Where the dataset lies, for commands.
        withdrawn: That the dataset was withdrawn, and why; empty if it was not.
        leakage: Whether a search for leaks found none.
        drift: Whether a look for unexplained changes found none.
        metrics: Every arm's metrics by name, for tie-breakers.
        directions: Which direction of a metric is better.
        policy_is_recorded: Whether the policy is the one that was recorded before the scores.
    """

    dataset: str
    arms: ArmEvidence = ArmEvidence()
    costs: Mapping[str, ArmCost] = field(default_factory=dict)
    budget: CheckOutcome = CheckOutcome(None, "no budget was set")
    verification: Literal["matched", "differs"] | None = None
    verified_rows: str = ""
    confounded: Mapping[str, str] = field(default_factory=dict)
    dataset_location: str = "STORE/NAME@VERSION"
    withdrawn: str = ""
    leakage: CheckOutcome = CheckOutcome()
    drift: CheckOutcome = CheckOutcome()
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    policy_is_recorded: bool = True

    def cost_ratio(self, arm: str, control: str) -> tuple[float, str] | None:
        """An arm's cost as a multiple of the control's, and in words: by price, else by GPU- or CPU-seconds."""
        ours, theirs = self.costs.get(arm, ArmCost()), self.costs.get(control, ArmCost())
        for measure, words in (("price", "price"), ("gpu_s", "GPU-seconds"), ("cpu_s", "CPU-seconds")):
            cost, reference = getattr(ours, measure), getattr(theirs, measure)
            if cost is not None and reference:
                return cost / reference, f"{cost / reference:.3g} times the control's {words}"
        return None
