"""An estimate in the terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(found: dict[str, Any], console: Console) -> None:
    """Prints what a run would take, arm by arm and in all, and on what that rests."""
    if found["committed"]:
        console.print(f"run {found['run_id']} is complete in the ledger: there is nothing to evaluate")
        return
    priced = found["price"] > 0
    table = Table(
        title=f"estimate of run {found['run_id']}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold")
    for name in ("units", "in ledger", "rows", "slot-s", *(["price"] if priced else [])):
        table.add_column(name, justify="right")
    table.add_column("from", overflow="fold")
    for arm in found["arms"]:
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
    slots = f"{found['num_slots']} slots in {found['num_waves']} waves"
    if not found["slots_known"]:
        slots += " (if the cluster has room for them all: resources.max_slots is not given)"
    totals = f"{found['slot_hours']:.3g} slot-hours, {found['gpu_hours']:.3g} GPU-hours"
    if priced:
        totals += f", price {found['price']:,.4g}"
    console.print(f"{found['num_units']} units of each arm; {slots}")
    console.print(f"about {'at most ' if found['in_a_race'] else ''}{totals}, {found['wall_s']:,.3g} s of wall time")
    if any("probed in this process" in arm["source"] for arm in found["arms"]):
        console.print(
            Text(
                "probed: a few batches on this machine and device, nothing written; where slots run it may take another time",
                "dim",
            )
        )
    if not found["is_complete"]:
        console.print(Text("warning: arms that could not be probed are not in these numbers", style="yellow"))
    if found["exceeds"]:
        console.print(Text(f"warning: the run would not end: {found['exceeds']}", style="bold red"))
    else:
        for words in found["warnings"]:
            console.print(Text(f"warning: in the end {words}", style="yellow"))
