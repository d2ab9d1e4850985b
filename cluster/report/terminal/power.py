"""Prints a power analysis in the terminal."""

from rich.console import Console
from rich.text import Text

from assay.manifests.power_answer import PowerAnswer


def show(answer: PowerAnswer, console: Console) -> None:
    """Prints rows, effect and power, then the method and its assumptions.

    Args:
        answer: The answer.
        console: Where to print.
    """
    console.print(
        f"{answer.num_rows:,} rows detect a difference of "
        f"{answer.effect:.4g} or more with power {answer.power:g} at alpha {answer.alpha:g}"
    )
    console.print(Text(answer.method, style="dim"))
    for assumption in answer.assumptions:
        console.print(Text(f"assumes: {assumption}", style="dim"))
