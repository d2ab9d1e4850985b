"""The forecast of a run in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.cluster.prepare.run_changes import named
from assay.cluster.report.terminal import formatting
from assay.manifests.forecast import Forecast


def show(forecast: Forecast, console: Console) -> None:
    """Prints the forecast per arm and in total, where its numbers come from, and warnings about the budget."""
    if forecast.committed:
        console.print(f"run {forecast.run_id} is already committed; there is nothing to evaluate")
        return
    priced = forecast.price > 0
    table = Table(
        title=f"forecast of run {forecast.run_id}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold")
    for name in ("units", "in ledger", "rows", "slot-s", *(["price"] if priced else [])):
        table.add_column(name, justify="right")
    table.add_column("from", overflow="fold")
    for arm in forecast.arms:
        price = [f"{arm.price:,.4g}"] if priced else []
        table.add_row(
            arm.arm,
            f"{arm.num_units_left:,}",
            f"{arm.num_units_done + arm.num_units_reused:,}",
            f"{arm.num_rows_left:,}",
            "–" if arm.problem else f"{arm.slot_s:,.4g}",
            *price,
            Text(arm.problem, style="yellow") if arm.problem else arm.source,
        )
    console.print(table)
    _show_reasons(forecast, console)
    slots = formatting.counted(forecast.num_slots, "slot")
    if forecast.num_waves > 1:
        slots += f", scoring up to {forecast.num_waves} arms one after another"
    if not forecast.slots_known:
        slots += " (if the cluster has room for all of them; resources.max_slots is not set)"
    totals = f"{forecast.slot_hours:.3g} slot-hours, {forecast.gpu_hours:.3g} GPU-hours"
    if priced:
        totals += f", price {forecast.price:,.4g}"
    console.print(f"{formatting.counted(forecast.num_units, 'unit')} per arm; {slots}")
    console.print(
        f"{'at most ' if forecast.in_a_race else ''}about {totals}; scoring takes about {forecast.wall_s:,.3g} s, plus "
        "the time to start, analyse and commit"
    )
    if any("timed in this process" in arm.source for arm in forecast.arms):
        console.print(
            Text(
                "timed: a few batches on this machine and device, nothing written; times on the slots' machines may differ",
                "dim",
            )
        )
    if not forecast.is_complete:
        console.print(Text("warning: these totals lack the arms that could not be timed", style="yellow"))
    if forecast.exceeds:
        console.print(Text(f"warning: the run would not finish: {forecast.exceeds}", style="bold red"))
    else:
        for warning in forecast.warnings:
            console.print(Text(f"warning: at the end of the run: {warning}", style="yellow"))


def _show_reasons(forecast: Forecast, console: Console) -> None:
    """Prints why arms are scored, or from which run they are reused: one line for all arms with the same reason."""
    arms_by_reason: dict[str, list[str]] = {}
    for arm in forecast.arms:
        arms_by_reason.setdefault(arm.reason, []).append(arm.arm)
    for reason, arms in arms_by_reason.items():
        who = named(arms)
        if len(arms) == len(forecast.arms) > 1:
            who = "both arms" if len(arms) == 2 else f"all {len(arms)} arms"
        console.print(Text(f"{who} will be {reason}" if reason.startswith("scored again") else f"{reason}: {who}"))
