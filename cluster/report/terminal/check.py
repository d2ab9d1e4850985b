"""The report of a check of rows against a contract, in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.check_report import CheckReport, RuleReport

_NAMES = {
    "null": "no nulls",
    "finite": "finite numbers",
    "readable": "every row can be read",
    "rows": "number of rows",
    "duplicates": "limit on duplicates",
    "label_conflicts": "limit on label conflicts",
}
"""What a rule asks, where its name alone does not say it or reads like the opposite."""

_REPEATS = {
    "duplicates": ("repeats", "repeat", "the features and label of an earlier row"),
    "label_conflicts": ("has", "have", "the features of an earlier row but another label"),
}
"""What is wrong with one row, and with several, that violate a rule about repeated rows."""

_MOST_SHOWN = 3
"""Violations shown of each rule; the JSON has a few more."""


def show(report: CheckReport, console: Console) -> None:
    """Prints the rules that the table and its columns pass, a table of the others with the first violations, and a summary."""
    passed = [rule for rule in report.rules if not rule.num_rows_broken and not rule.is_broken]
    for column, rules in _by_column(passed).items():
        names = ", ".join(_NAMES.get(rule, rule) for rule in rules)
        console.print(
            Text(f"{f'column {column}' if column else 'the table'} passes the rules: {names}"), soft_wrap=True
        )
    broken = [rule for rule in report.rules if rule not in passed]
    if broken:
        _show_table(broken, console)
    for rule in broken:
        if rule.is_broken:
            _show_broken(rule, console)
    for change in report.changes:
        console.print(Text(f"converted while reading: {change}"))
    console.print(Text(summary(report), style="red" if report.broken else ""))


def _by_column(rules: list[RuleReport]) -> dict[str, list[str]]:
    by_column: dict[str, list[str]] = {}
    for rule in rules:
        by_column.setdefault(rule.column, []).append(rule.rule)
    return by_column


def _show_table(rules: list[RuleReport], console: Console) -> None:
    table = formatting.table()
    for name in ("rule", "column", "severity", "allowed", "checked", "broken"):
        table.add_column(name, justify="right" if name in ("checked", "broken") else "left", overflow="fold")
    for rule in rules:
        style = {"error": "red", "warn": "yellow"}[rule.severity] if rule.is_broken else ""
        counts = (f"{rule.num_rows_checked:,}", _broken(rule))
        texts = (rule.rule, rule.column, rule.severity, rule.bound)
        table.add_row(*map(escape, texts), *counts, style=style)
    console.print(table)


def summary(report: CheckReport) -> str:
    """One line: rows, rules, how many of them are violated, and whether the rows may be frozen."""
    rows = f"{report.num_rows:,} rows" + ("" if report.is_complete else " (stopped early)")
    num_warnings = sum(rule.is_broken and rule.severity == "warn" for rule in report.rules)
    warnings = f", {num_warnings} {'warning' if num_warnings == 1 else 'warnings'}" if num_warnings else ""
    rules = f"{len(report.rules)} rules{warnings}"
    if report.broken:
        return f"{rows}, {rules}, {len(report.broken)} violated: these rows cannot be frozen"
    return f"{rows}, {rules}: these rows can be frozen"


def warning_lines(report: CheckReport) -> list[str]:
    """A line for each violated rule that only warns: which rule, how many rows, and the first place."""
    return [broken_rule_line(rule) for rule in report.rules if rule.is_broken and rule.severity == "warn"]


def broken_rule_line(rule: RuleReport) -> str:
    """A violated rule in one line."""
    first = f"; first at {rule.offenders[0].place}" if rule.offenders else ""
    unit = "row" if rule.num_rows_broken == 1 else "rows"
    if rule.rule in _REPEATS:
        one, several, what = _REPEATS[rule.rule]
        verb = one if rule.num_rows_broken == 1 else several
        limit = "any" if rule.bound == "none" else rule.bound.replace("at most", "more than")
        return f"{rule.rule}: {rule.num_rows_broken:,} {unit} {verb} {what} (the contract warns about {limit}){first}"
    where = f" ({rule.column})" if rule.column else ""
    count = f", violated by {rule.num_rows_broken:,} {unit}" if rule.num_rows_broken else ""
    observed = f", found {rule.observed}" if rule.observed else ""
    return f"{rule.rule}{where}: allowed {rule.bound}{observed}{count}{first}"


def _broken(rule: RuleReport) -> str:
    return f"{rule.num_rows_broken:,}" if rule.num_rows_broken or not rule.is_broken else "yes"


def _show_broken(rule: RuleReport, console: Console) -> None:
    name = f"{rule.rule} ({rule.column})" if rule.column else rule.rule
    prefix, style = ("violated", "red") if rule.severity == "error" else ("warning", "yellow")
    console.print(Text(f"{prefix}: {name}" + (f": found {rule.observed}" if rule.observed else ""), style=style))
    for offender in rule.offenders[:_MOST_SHOWN]:
        note = f"; {offender.note}" if offender.note else ""
        console.print(Text(f"  {offender.place}{f': {offender.value}' * bool(offender.value)}{note}"), soft_wrap=True)
