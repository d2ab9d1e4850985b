"""Prints a power analysis in the terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text


def show(answer: dict[str, Any], console: Console) -> None:
    """Prints rows, effect and power, then the method and its assumptions.

    Args:
        answer: `PowerAnswer.to_json()`.
        console: Where to print.
    """
    rows, effect = answer["rows"], answer["effect"]
    console.print(
        f"{'–' if rows is None else f'{rows:,}'} rows detect a difference of "
        f"{'–' if effect is None else f'{effect:.4g}'} or more with power {answer['power']:g} at alpha {answer['alpha']:g}"
    )
    console.print(Text(answer["method"], style="dim"))
    for assumption in answer["assumptions"]:
        console.print(Text(f"assumes: {assumption}", style="dim"))
