"""Compact letter display: arms that share a letter are not significantly different."""

from collections.abc import Sequence
from string import ascii_lowercase

from assay.manifests.comparison import Comparison


def letters_of(comparisons: Sequence[Comparison], *, arms: Sequence[str], alpha: float) -> dict[str, str]:
    """The letters of all pairs, by insertion and absorption (Piepho 2004, J. Comput. Graph. Stat. 13:456).

    Args:
        comparisons: All pairs of the arms.
        arms: The arms, best first; the best get `a`.
        alpha: A pair differs significantly if its adjusted p-value is at most this.

    Returns:
        Each arm and its letters, in the order of `arms`.
    """
    different = {
        frozenset((comparison.arm, comparison.reference))
        for comparison in comparisons
        if comparison.p_adjusted is not None and comparison.p_adjusted <= alpha
    }
    groups: list[frozenset[str]] = [frozenset(arms)]
    for pair in sorted(different, key=sorted):
        first, second = sorted(pair)
        split: list[frozenset[str]] = []
        for group in groups:
            split += [group - {first}, group - {second}] if pair <= group else [group]
        groups = [
            group
            for index, group in enumerate(split)
            if not any(group < other or (group == other and index > at) for at, other in enumerate(split))
        ]
    rank = {arm: index for index, arm in enumerate(arms)}
    groups.sort(key=lambda group: sorted(rank[arm] for arm in group))
    return {arm: "".join(_letter(index) for index, group in enumerate(groups) if arm in group) for arm in arms}


def _letter(index: int) -> str:
    """The letters a to z, then a1 to z1, and so on."""
    round_number, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(round_number) if round_number else "")
