"""A check of rows against a contract, as a table in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.check_report import CheckReport, RuleReport

_MOST_SHOWN = 3
"""Offenders shown of a rule; the JSON has a few more."""


def show(report: CheckReport, console: Console) -> None:
    """Prints the rules that no row breaks in a few words, a row for each of the others, and what it comes to."""
    held = [rule for rule in report.rules if not rule.num_rows_broken and not rule.is_broken]
    for column, rules in _by_column(held).items():
        console.print(Text(f"held {f'by {column}' if column else 'by all rows'}: {', '.join(rules)}"), soft_wrap=True)
    broken = [rule for rule in report.rules if rule not in held]
    if broken:
        _show_table(broken, console)
    for rule in broken:
        if rule.is_broken:
            _show_broken(rule, console)
    for change in report.changes:
        console.print(Text(f"changed on the way in: {change}"))
    console.print(Text(summary(report), style="red" if report.broken else ""))


def _by_column(rules: list[RuleReport]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rule in rules:
        found.setdefault(rule.column, []).append(rule.rule)
    return found


def _show_table(rules: list[RuleReport], console: Console) -> None:
    table = formatting.table()
    for name in ("rule", "column", "severity", "allowed", "checked", "broken"):
        table.add_column(name, justify="right" if name in ("checked", "broken") else "left", overflow="fold")
    for rule in rules:
        style = {"error": "red", "warn": "yellow"}[rule.severity] if rule.is_broken else ""
        counts = (f"{rule.num_rows_checked:,}", _broken(rule))
        words = (rule.rule, rule.column, rule.severity, rule.bound)
        table.add_row(*map(escape, words), *counts, style=style)
    console.print(table)


def summary(report: CheckReport) -> str:
    """One line: rows, rules, how many of them are broken, and whether the rows may be frozen."""
    rows = f"{report.num_rows:,} rows" + ("" if report.is_complete else " and then given up")
    warned = sum(rule.is_broken and rule.severity == "warn" for rule in report.rules)
    warnings = f", {warned} {'warns' if warned == 1 else 'warn'}" if warned else ""
    held = f"{len(report.rules)} rules{warnings}"
    if report.broken:
        return f"{rows}, {held}, {len(report.broken)} broken: these rows cannot be frozen"
    return f"{rows}, {held}: nothing refuses these rows"


def warning_lines(report: CheckReport) -> list[str]:
    """A line for each rule that is broken and only warns: what, how often, and where first."""
    return [broken_rule_line(rule) for rule in report.rules if rule.is_broken and rule.severity == "warn"]


def broken_rule_line(rule: RuleReport) -> str:
    """A broken rule in one line."""
    where = f" ({rule.column})" if rule.column else ""
    count = f", {rule.num_rows_broken:,} rows" if rule.num_rows_broken else ""
    found = f", found {rule.found}" if rule.found else ""
    first = f"; first at {rule.offenders[0].place}" if rule.offenders else ""
    return f"{rule.rule}{where}: allowed {rule.bound}{found}{count}{first}"


def _broken(rule: RuleReport) -> str:
    return f"{rule.num_rows_broken:,}" if rule.num_rows_broken or not rule.is_broken else "yes"


def _show_broken(rule: RuleReport, console: Console) -> None:
    name = f"{rule.rule} ({rule.column})" if rule.column else rule.rule
    word, style = ("broken", "red") if rule.severity == "error" else ("warning", "yellow")
    console.print(Text(f"{word}: {name}" + (f": found {rule.found}" if rule.found else ""), style=style))
    for offender in rule.offenders[:_MOST_SHOWN]:
        note = f"; {offender.note}" if offender.note else ""
        console.print(Text(f"  {offender.place}{f': {offender.value}' * bool(offender.value)}{note}"), soft_wrap=True)
