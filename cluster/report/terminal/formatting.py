"""The common style of terminal output: frames of tables, and formats of numbers."""

from rich import box
from rich.table import Table


def table(title: str | None = None) -> Table:
    """An empty table without vertical lines and with a left-aligned title, if any."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)


def number(value: float | None) -> str:
    """A metric, with four decimals."""
    return "–" if value is None else f"{value:.4f}"


def amount(value: float | None) -> str:
    """A cost, with four significant digits and commas between thousands."""
    return "–" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def interval(low: float | None, high: float | None, *, sign: str = "") -> str:
    """An interval, with four decimals; `sign="+"` adds a sign to positive bounds."""
    return "not testable" if low is None or high is None else f"[{low:{sign}.4f}, {high:{sign}.4f}]"


def p_value(value: float | None) -> str:
    """A p-value, with four decimals or as <0.0001."""
    return "–" if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, such as "1 run" or "3 runs"; `plural` is needed if it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
