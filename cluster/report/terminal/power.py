"""A power analysis in the terminal: rows for an effect, or the effect that rows resolve."""

from typing import Any

from rich.console import Console
from rich.text import Text


def show(answer: dict[str, Any], console: Console) -> None:
    """Prints how many rows an effect needs, or which effect some rows resolve, and on what that rests."""
    rows, effect = answer["rows"], answer["effect"]
    console.print(
        f"{'–' if rows is None else f'{rows:,}'} rows resolve a difference of "
        f"{'–' if effect is None else f'{effect:.6g}'} with power {answer['power']:g} at alpha {answer['alpha']:g}"
    )
    console.print(Text(answer["method"], style="dim"))
    for assumption in answer["assumptions"]:
        console.print(Text(f"assumes: {assumption}", style="dim"))
