"""Where the time of a run went, per arm and per slot, in the terminal."""

from rich.console import Console
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.timing import ArmTiming, RunTiming


def show(timing: RunTiming, console: Console) -> None:
    """Prints two tables of seconds: one row per arm, and one row per slot."""
    steps = ("load", "fetch", "wait", "copy", "forward", "score", "write")
    for group, rows, last in (("arm", timing.arms, "reused"), ("slot", timing.slots, "busy")):
        table = formatting.table(f"seconds per {group}")
        table.padding = 0  # twelve columns must fit into 80 characters; the separator leaves one space
        table.add_column(group, overflow="fold")
        for name in ("rows", "MB in", *steps, "rows/s", last):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            fetched, speed = row.bytes_fetched, row.rows_per_s
            table.add_row(
                row.arm if isinstance(row, ArmTiming) else row.slot,
                f"{row.num_rows_evaluated:,}",
                "–" if fetched is None else f"{fetched / 1e6:,.1f}",
                *(_seconds(getattr(row, "read_s" if step == "wait" else f"{step}_s")) for step in steps),
                "–" if speed is None else f"{speed:,.0f}",
                _units(row) if isinstance(row, ArmTiming) else _share(row.busy_fraction),
            )
        console.print(table)
    legend = (
        "fetch: reading shards, in the background; wait: waiting for rows, decoding included; copy: making tensors of "
        "the inputs and moving them to the device (on a GPU, in the background); forward: the variant's own work; write: publishing units, in the background; reused: units scored by another "
        "run (see there for their times); busy: share of the time between a slot's first and last unit in which it worked"
    )
    console.print(Text(legend, style="dim"))
    console.print(Text(f"run {timing.run_id}  ledger {timing.ledger}", style="dim"))


def _units(arm: ArmTiming) -> str:
    reused = arm.num_units_reused
    return f"{reused} of {reused + arm.num_units_evaluated}" if reused else ""


def _share(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.0f} %"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if value < 1 else f"{value:,.1f}"
