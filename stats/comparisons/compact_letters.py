"""Compact letter display: arms that share a letter are not told apart."""

from collections.abc import Sequence
from string import ascii_lowercase

from assay.stats.results.comparison import Comparison


def letters_of(comparisons: Sequence[Comparison], *, arms: Sequence[str], alpha: float) -> tuple[tuple[str, str], ...]:
    """Letters for all pairs, by insertion and absorption (Piepho 2004, J. Comput. Graph. Stat. 13:456).

    Args:
        comparisons: All pairs of the arms.
        arms: The arms, best first: the best ones get `a`.
        alpha: A pair is told apart if its adjusted p-value is at most this.

    Returns:
        Arm and letters, in the order of `arms`.
    """
    apart = {
        frozenset((found.arm, found.reference))
        for found in comparisons
        if found.p_adjusted is not None and found.p_adjusted <= alpha
    }
    groups: list[frozenset[str]] = [frozenset(arms)]
    for pair in sorted(apart, key=sorted):
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
    return tuple((arm, "".join(_letter(index) for index, group in enumerate(groups) if arm in group)) for arm in arms)


def _letter(index: int) -> str:
    """Letters from a to z, then from a1 to z1, and so on."""
    turn, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(turn) if turn else "")
