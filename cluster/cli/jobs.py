"""`assay submit`, `status`, `logs`, `cancel` and `result`: the client of a Ray cluster, from the command line."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, print_json
from assay.cluster.cli.report import print_run

if TYPE_CHECKING:
    from assay.cluster.client.client import Client
    from assay.cluster.client.submission import Submission
    from assay.manifests.progress import Progress

app = standard_output.Verbs()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or ID of the submission.")]
Address = Annotated[
    str,
    typer.Option(
        envvar="RAY_API_SERVER_ADDRESS",
        help="URL of the head's dashboard. The token is read from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.",
    ),
]
HERE = "http://127.0.0.1:8265"


@app.command()
def submit(
    experiment: Annotated[Path, typer.Argument(help="Path of the experiment file.")],
    name: Annotated[str | None, typer.Option(help="Name of the submission. Default: the experiment's name.")] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            help="Folder or URI of the ledger, which the cluster must reach. Default: the experiment's ledger."
        ),
    ] = None,
    working_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder to upload, with the code of the entrypoints. Default: the code is installed on the cluster."
        ),
    ] = None,
    address: Address = HERE,
    as_json: AsJson = False,
) -> None:
    """Submit an experiment to a Ray cluster.

    If the same experiment is already pending, running or done under this name, joins that submission.
    """
    submission = _client(address).submit(experiment, ledger=ledger, name=name, working_dir=working_dir)
    if as_json:
        print_json({"submission_id": submission.submission_id, "name": submission.name, "ledger": submission.ledger})
    else:
        standard_output.say(f"submitted {submission.submission_id}; next: assay status {submission.name}")


@app.command()
def status(
    name: Name,
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep printing progress until the submission has ended.")
    ] = False,
    address: Address = HERE,
    as_json: AsJson = False,
) -> None:
    """Show the status, progress and cost of a submission."""
    submission = _submission(name, address)
    if follow:
        _follow(submission, as_json=as_json)
    status, progress = submission.status(), submission.progress()
    if as_json:
        fields = None if progress is None else progress.model_dump(mode="json")
        print_json({"submission_id": submission.submission_id, "status": status, "progress": fields})
        return
    standard_output.say(f"{status}: {submission.submission_id}")
    if progress is None:
        return
    standard_output.say(f"run {progress.run_id} {_line(progress)}")
    if progress.reason:
        standard_output.say(f"  {progress.reason.splitlines()[0]}")
    for arm in progress.arms:
        failed = f"  failed: {arm.failed.splitlines()[0]}" if arm.failed else ""
        eliminated = f"  {arm.eliminated.splitlines()[0]}" if arm.eliminated else ""
        standard_output.say(f"  {arm.arm}: {arm.num_units_done}/{progress.num_units} units{failed}{eliminated}")


@app.command()
def logs(
    name: Name,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Keep printing until the submission has ended.")
    ] = True,
    address: Address = HERE,
) -> None:
    """Print the output of a submission's driver."""
    for piece in _submission(name, address).logs(follow=follow):
        standard_output.say(piece.replace("\r", "\n"), ends_line=False)  # progress bars return to the line's start


@app.command()
def cancel(name: Name, address: Address = HERE, as_json: AsJson = False) -> None:
    """Cancel a submission. Published units are kept.

    Submit the same experiment again to resume.
    """
    submission = _submission(name, address)
    status = submission.cancel()
    if as_json:
        print_json({"submission_id": submission.submission_id, "status": status})
    else:
        standard_output.say(f"{status}: {submission.submission_id}")


@app.command()
def result(name: Name, address: Address = HERE, as_json: AsJson = False) -> None:
    """Show the verdict of a submission's run."""
    from assay.evaluator.ledger.opening import open_ledger

    outcome = _submission(name, address).result()
    print_run(open_ledger(outcome.ledger), outcome.run_id, as_json=as_json)


def _follow(submission: "Submission", *, as_json: bool) -> None:
    """Prints progress until the submission has ended: one live line on a terminal, otherwise one line per change.

    Prints to standard error if the result is JSON.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True) if as_json else standard_output.console()
    with console.status(f"{submission.submission_id}: no progress reported yet") as live_line:
        last = ""
        for progress in submission.stream(timeout_s=math.inf):
            line = _line(progress)
            live_line.update(Text(line))
            if line != last and not console.is_terminal:
                console.print(Text(line), soft_wrap=True)
            last = line


def _line(progress: "Progress") -> str:
    """Progress, speed and cost of a run in one line."""
    from assay.cluster.report.terminal.formatting import counted

    parts = [
        f"{progress.num_units_done} of {progress.num_units * len(progress.arms)} units",
        f"{progress.num_rows_done:,} rows",
    ]
    if progress.state == "running":
        parts.append(f"{progress.num_slots_busy} of {progress.num_slots} slots busy")
        if progress.rows_per_s is not None:
            parts.append(f"{progress.rows_per_s:,.0f} rows/s")
        if progress.eta_s is not None:
            parts.append(f"about {progress.eta_s:.0f} s left")
    if progress.num_retries:
        parts.append(counted(progress.num_retries, "retry", "retries"))
    num_eliminated = sum(bool(arm.eliminated) for arm in progress.arms)
    if num_eliminated:
        parts.append(counted(num_eliminated, "arm") + " eliminated")
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
