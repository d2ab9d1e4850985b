"""The verbs about submitted experiments: the client, from the command line."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli.options import AsJson, print_json
from assay.cluster.cli.report import print_run

if TYPE_CHECKING:
    from assay.cluster.client.client import Client
    from assay.cluster.client.submission import Submission
    from assay.manifests.progress import Progress

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name it was submitted under, or its id.")]
Address = Annotated[
    str,
    typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The head's dashboard. The token comes from RAY_AUTH_TOKEN."),
]
HERE = "http://127.0.0.1:8265"


@app.command()
def submit(
    experiment: Annotated[Path, typer.Argument(help="The experiment's file.")],
    name: Annotated[str | None, typer.Option(help="What to find it by; default: the experiment's name.")] = None,
    ledger: Annotated[str | None, typer.Option(help="The ledger; default: what the experiment says.")] = None,
    working_dir: Annotated[Path | None, typer.Option(help="A folder with the code that entrypoints name.")] = None,
    address: Address = HERE,
    as_json: AsJson = False,
) -> None:
    """Hand an experiment to a cluster, or join the submission that has it already."""
    found = _client(address).submit(experiment, ledger=ledger, name=name, working_dir=working_dir)
    if as_json:
        print_json({"submission_id": found.submission_id, "name": found.name, "ledger": found.ledger})
    else:
        typer.echo(f"submitted {found.submission_id}; next: assay status {found.name}")


@app.command()
def status(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", help="Go on, a line a change, until it has ended.")] = False,
    address: Address = HERE,
    as_json: AsJson = False,
) -> None:
    """Say where a submission stands, how far its run is, and what it has cost so far."""
    found = _submission(name, address)
    if follow:
        _follow(found, as_json=as_json)
    stands, progress = found.status(), found.progress()
    if as_json:
        fields = None if progress is None else progress.model_dump(mode="json")
        print_json({"submission_id": found.submission_id, "status": stands, "progress": fields})
        return
    typer.echo(f"{stands}: {found.submission_id}")
    if progress is None:
        return
    typer.echo(f"run {progress.run_id} {_line(progress)}")
    if progress.reason:
        typer.echo(f"  {progress.reason.splitlines()[0]}")
    for arm in progress.arms:
        failed = f"  failed: {arm.failed.splitlines()[0]}" if arm.failed else ""
        eliminated = f"  {arm.eliminated.splitlines()[0]}" if arm.eliminated else ""
        typer.echo(f"  {arm.arm}: {arm.num_units_done}/{progress.num_units} units{failed}{eliminated}")


@app.command()
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on until it has ended.")] = True,
    address: Address = HERE,
) -> None:
    """Print what a submission's driver prints."""
    for piece in _submission(name, address).logs(follow=follow):
        typer.echo(piece, nl=False)


@app.command()
def cancel(name: Name, address: Address = HERE, as_json: AsJson = False) -> None:
    """End a submission. What was published stays: submit it again to go on."""
    found = _submission(name, address)
    stands = found.cancel()
    if as_json:
        print_json({"submission_id": found.submission_id, "status": stands})
    else:
        typer.echo(f"{stands}: {found.submission_id}")


@app.command()
def result(name: Name, address: Address = HERE, as_json: AsJson = False) -> None:
    """Show what a submission's run says."""
    from assay.evaluator.storage import open_store

    answer = _submission(name, address).result()
    print_run(open_store(answer.ledger), answer.run_id, as_json=as_json)


def _follow(found: "Submission", *, as_json: bool) -> None:
    """Tells how far a run is until its submission has ended: one live line on a terminal, else a line a change.

    On standard error if the answer is JSON.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=as_json)
    with console.status(f"{found.submission_id}: its driver has not told yet") as shown:
        last = ""
        for progress in found.stream(timeout_s=math.inf):
            line = _line(progress)
            shown.update(Text(line))
            if line != last and not console.is_terminal:
                typer.echo(line, err=as_json)
            last = line


def _line(progress: "Progress") -> str:
    """How far a run is, how fast it goes and what it has cost, in one line."""
    parts = [
        f"{progress.num_units_done} of {progress.num_units * len(progress.arms)} units",
        f"{progress.num_rows_done:,} rows",
    ]
    if progress.state == "running":
        parts.append(f"{progress.num_slots_busy} of {progress.num_slots} slots busy")
        if progress.rows_per_s is not None:
            parts.append(f"{progress.rows_per_s:,.0f} rows/s")
        if progress.eta_s is not None:
            parts.append(f"about {progress.eta_s:.0f} s to go")
    if progress.num_retries:
        parts.append(f"{progress.num_retries} retries")
    num_eliminated = sum(bool(arm.eliminated) for arm in progress.arms)
    if num_eliminated:
        parts.append(f"{num_eliminated} arms eliminated")
    spent = progress.spent
    parts.append(f"cost so far {spent.slot_s / 3600:.3g} slot-hours")
    if spent.gpu_s:
        parts.append(f"{spent.gpu_s / 3600:.3g} GPU-hours")
    if spent.price:
        parts.append(f"price {spent.price:,.2f}")
    return f"{progress.state}: {', '.join(parts)}"


def _client(address: str) -> "Client":
    from assay.cluster.client.client import Client

    return Client(address)


def _submission(name: str, address: str) -> "Submission":
    return _client(address).find(name)
