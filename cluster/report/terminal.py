"""A report as a table in the terminal."""

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.report.document import Document

_STYLES = {"promote": "bold green", "hold": "yellow", "reject": "bold red", "control": "dim"}


def show(report: Document, console: Console) -> None:
    """Prints the verdict table, the reasons, and where the evidence lies."""
    console.print(verdict(report))


def verdict(report: Document) -> RenderableType:
    """The verdict table with its reasons."""
    metrics = list(report["directions"])
    primary = report["primary"]
    compared = {row["arm"]: row for row in report["analysis"]["comparisons"] if row["reference"] == report["control"]}
    decided = {row["arm"]: row for row in report["decisions"]}
    confidence = 100 * (1 - report["analysis"]["alpha"])
    table = Table(title=f"{report['name']}: {report['dataset']['reference']}, {report['dataset']['num_rows']:,} rows")
    table.add_column("arm")
    for name in metrics:
        arrow = "↑" if report["directions"][name] == "higher" else "↓"
        table.add_column(f"{name} {arrow}", justify="right", header_style="bold" if name == primary else "dim")
    table.add_column(f"Δ {primary}\n[dim]{confidence:g} % simultaneous[/]", justify="right")
    table.add_column("p (adj.)", justify="right")
    table.add_column("verdict")
    for arm in report["arms"]:
        name = arm["arm"]
        word = "control" if name == report["control"] else decided[name]["decision"]
        table.add_row(
            name,
            *(_number(arm["metrics"].get(metric)) for metric in metrics),
            *_difference(compared.get(name)),
            Text(word, style=_STYLES[word]),
        )
    reasons = Table.grid(padding=(0, 2))
    for name, row in decided.items():
        why = "; ".join(row["reasons"]) + (f". Next: {row['next_step']}" if row["next_step"] else "")
        reasons.add_row(Text(row["decision"], style=_STYLES[row["decision"]]), name, why)
    words = [Text(f"warning: {warning}", style="yellow") for warning in report["analysis"]["warnings"]]
    digests = Text(
        f"run {report['run_id']}  scores {report['scores_digest'][:19]}…  plan {report['plan_digest'][:19]}… "
        f"(recorded before the first unit)\nledger {report['ledger']}",
        style="dim",
    )
    return Group(table, Text(), reasons, *words, Text(), digests)


def _difference(comparison: dict[str, Any] | None) -> tuple[str, str]:
    if comparison is None:
        return "", ""
    low, high = comparison["ci_low"], comparison["ci_high"]
    if low is None or high is None:
        return "not testable", ""
    p_value = comparison["p_adjusted"]
    p_words = "" if p_value is None else "<0.0001" if p_value < 1e-4 else f"{p_value:.4f}"
    return f"{comparison['estimate']:+.4f} [{low:+.4f}, {high:+.4f}]", p_words


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
