"""A forecast in the terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(forecast: dict[str, Any], console: Console) -> None:
    """Prints what a run would take, arm by arm and in all, and on what that rests."""
    if forecast["committed"]:
        console.print(f"run {forecast['run_id']} is complete in the ledger: there is nothing to evaluate")
        return
    priced = forecast["price"] > 0
    table = Table(
        title=f"estimate of run {forecast['run_id']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold")
    for name in ("units", "in ledger", "rows", "slot-s", *(["price"] if priced else [])):
        table.add_column(name, justify="right")
    table.add_column("from", overflow="fold")
    for arm in forecast["arms"]:
        price = [f"{arm['price']:,.4g}"] if priced else []
        table.add_row(
            arm["arm"],
            f"{arm['num_units']:,}",
            f"{arm['num_units_there'] + arm['num_units_reused']:,}",
            f"{arm['num_rows']:,}",
            "–" if arm["problem"] else f"{arm['slot_s']:,.4g}",
            *price,
            Text(arm["problem"], style="yellow") if arm["problem"] else arm["source"],
        )
    console.print(table)
    slots = f"{forecast['num_slots']} slots in {forecast['num_waves']} waves"
    if not forecast["slots_known"]:
        slots += " (if the cluster has room for them all: resources.max_slots is not given)"
    totals = f"{forecast['slot_hours']:.3g} slot-hours, {forecast['gpu_hours']:.3g} GPU-hours"
    if priced:
        totals += f", price {forecast['price']:,.4g}"
    console.print(f"{forecast['num_units']} units of each arm; {slots}")
    console.print(
        f"about {'at most ' if forecast['in_a_race'] else ''}{totals}, {forecast['wall_s']:,.3g} s of wall time"
    )
    if any("probed in this process" in arm["source"] for arm in forecast["arms"]):
        console.print(
            Text(
                "probed: a few batches on this machine and device, nothing written; where slots run it may take another time",
                "dim",
            )
        )
    if not forecast["is_complete"]:
        console.print(Text("warning: arms that could not be probed are not in these numbers", style="yellow"))
    if forecast["exceeds"]:
        console.print(Text(f"warning: the run would not end: {forecast['exceeds']}", style="bold red"))
    else:
        for words in forecast["warnings"]:
            console.print(Text(f"warning: in the end {words}", style="yellow"))
