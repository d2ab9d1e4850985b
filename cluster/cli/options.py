"""Options and arguments that several commands share, and the functions that interpret them."""

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from assay.cluster.cli import standard_output

if TYPE_CHECKING:
    from assay.manifests.base import Manifest

Kind = TypeVar("Kind", bound="Manifest")


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
RunOrExperiment = Annotated[str, typer.Argument(metavar="RUN", help="ID of a run, or path of its experiment file.")]
InProcess = Annotated[
    bool, typer.Option("--in-process", help="Run all variants in this process, for example under a debugger.")
]


def _ledger(default: str) -> Any:
    return typer.Option("--ledger", envvar="ASSAY_LEDGER", help=f"Folder or URI of the ledger. Default: {default}.")


LedgerAt = Annotated[
    str | None, _ledger("the ledger that the experiment file names, or ./ledger if no experiment file is given")
]
LedgerAlone = Annotated[str | None, _ledger("./ledger")]
"""The option of commands that take no experiment file."""


def run_and_ledger(run: str, ledger: str | None) -> tuple[str, str]:
    """The run ID and the ledger's location for a RUN argument, which is a run ID or the path of an experiment file.

    Raises:
        InvalidInput: The experiment cannot be used, or its run evaluated another version of the dataset.
        LedgerError: The experiment, as it is now, has not been run.
    """
    if not run.endswith((".yaml", ".yml", ".json")):
        return checked_run_id(run), ledger or "ledger"
    from assay.cluster import pipeline
    from assay.evaluator.errors import LedgerError

    prepared = pipeline.prepare(run, ledger=ledger)
    uri = prepared.run.experiment.ledger
    # With unfinished arms, the prepared run is the next one; the user means the run that is already in the ledger.
    existing = prepared.run.run_id if prepared.committed else prepared.run.supersedes or prepared.run.run_id
    if existing not in {each.run_id for each in prepared.past}:
        command = f"assay run {shlex.quote(run)}" + (f" --ledger {shlex.quote(ledger)}" if ledger else "")
        raise LedgerError(f"{uri}: the ledger has no run of {run} as it is now ({existing}); run it first: {command}")
    return existing, uri


def checked_run_id(run: str) -> str:
    """Returns a run's ID after checking that it can be one, because it becomes a part of keys.

    Raises:
        InvalidInput: It cannot be the ID of a run.
    """
    from assay.manifests.ledger_layout import RUN_ID

    if not re.fullmatch(RUN_ID, run):
        from assay.manifests.errors import InvalidInput

        raise InvalidInput(
            "neither a run's ID nor the path of an experiment file",
            value=run,
            bound="letters, digits, '_', '.' and '-'; or a path that ends with .yaml, .yml or .json",
            remedy="'assay ledger ls' lists the runs",
        )
    return run


def read_manifest(path: Path, kind: type[Kind]) -> Kind:
    """Reads a manifest of the given kind from a file.

    Raises:
        InvalidInput: The file cannot be read.
        ManifestError: It holds a manifest of another kind, or one that violates its schema.
    """
    from assay.cluster.prepare.user_file import read_text
    from assay.manifests import parse

    manifest = parse(read_text(str(path)), file=str(path), kind=kind.__name__)
    assert isinstance(manifest, kind)
    return manifest


def print_json(result: Any) -> None:
    """Prints a result as JSON on standard output."""
    standard_output.say(json.dumps(result, indent=2, allow_nan=False))
