"""A family of comparisons: its pairs of arms, and Holm's adjustment of its p-values.

A pair is (index of the arm, index of its reference); differences are arm minus reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.manifests.comparison import Comparison
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.stats.distributions import multiplicity
from assay.stats.distributions.max_t import Pair


@dataclass(frozen=True)
class Family:
    """Comparisons that share one error rate.

    Attributes:
        comparisons: One per pair.
        critical: The value that |t| must exceed for an adjusted p-value below alpha.
    """

    comparisons: tuple[Comparison, ...]
    critical: float


def pairs_of(num_arms: int, *, control: int, family: str) -> tuple[Pair, ...]:
    """The pairs of a family. `dunnett`: every variant against the control. `tukey`: all pairs, the control's first."""
    order = [control, *(index for index in range(num_arms) if index != control)]
    num_references = 1 if family == "dunnett" else num_arms - 1
    return tuple((order[j], order[i]) for i in range(num_references) for j in range(i + 1, num_arms))


def pairs_named(arms: Sequence[str], *, control: str, family: str) -> tuple[Pair, ...]:
    """The pairs of a family, given the control's name.

    Raises:
        InvalidInput: The control is not an arm, or there are fewer than two arms.
    """
    if control not in arms:
        raise InvalidInput(
            "the control is not an arm", field="control", value=control, remedy=did_you_mean(control, list(arms))
        )
    if len(arms) < 2:
        raise InvalidInput("a comparison needs at least two arms", field="arms", value=len(arms), bound="2 or more")
    return pairs_of(len(arms), control=list(arms).index(control), family=family)


def holm(comparisons: Sequence[Comparison], method: str) -> tuple[Comparison, ...]:
    """The comparisons with Holm-adjusted p-values; comparisons without a p-value are not counted."""
    adjusted = multiplicity.adjust([comparison.p_value for comparison in comparisons], method="holm")
    return tuple(
        comparison.model_copy(update={"p_adjusted": p_adjusted, "method": method})
        for comparison, p_adjusted in zip(comparisons, adjusted, strict=True)
    )
