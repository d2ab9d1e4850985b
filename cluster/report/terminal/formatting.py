"""What the tables of the terminal have in common: their frame, and how numbers are written in them."""

from rich import box
from rich.table import Table


def table(title: str | None = None) -> Table:
    """An empty table without vertical lines; its title, if there is one, stands at the left."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)


def number(value: float | None) -> str:
    """Four decimals, as metrics are shown."""
    return "–" if value is None else f"{value:.4f}"


def amount(value: float | None) -> str:
    """Four significant digits, and thousands with commas, as costs are shown."""
    return "–" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def interval(low: float | None, high: float | None, *, sign: str = "") -> str:
    """Both ends with four decimals; `sign="+"` shows the sign of positive ones, too."""
    return "not testable" if low is None or high is None else f"[{low:{sign}.4f}, {high:{sign}.4f}]"


def p_value(value: float | None) -> str:
    """Four decimals, or that it is below what they can show."""
    return "–" if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"
