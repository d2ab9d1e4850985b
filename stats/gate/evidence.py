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
class Evidence:
    """What is known of a run beside its analysis.

    Attributes:
        dataset: The dataset in words: name, digest, rows.
        costs: What arms cost, the control among them.
        budget: Whether the run kept its budget; None: it has none, or nobody knows.
        budget_words: The same in words.
        verification: What came of scoring the run again; None: nobody has.
        verification_words: Of how many rows.
        confounded: Arms that were scored under another identity than the control's, each with what differs.
        dataset_location: Where the dataset lies, as commands are told.
        withdrawn: That the dataset was withdrawn, and why; empty if it was not.
        leakage: Whether a search for leaks found none; None: nobody has looked.
        leakage_words: What it found.
        drift: Whether a look for unexplained changes found none; None: nobody has looked.
        drift_words: What it found.
        metrics: Every arm's metrics by name, for tie-breakers.
        directions: Which direction of a metric is better.
        policy_is_recorded: Whether the policy is the one that was recorded before the scores.
    """

    dataset: str
    costs: Mapping[str, ArmCost] = field(default_factory=dict)
    budget: bool | None = None
    budget_words: str = "no budget was set"
    verification: Literal["matched", "differs"] | None = None
    verification_words: str = ""
    confounded: Mapping[str, str] = field(default_factory=dict)
    dataset_location: str = "STORE/NAME@VERSION"
    withdrawn: str = ""
    leakage: bool | None = None
    leakage_words: str = ""
    drift: bool | None = None
    drift_words: str = ""
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
