"""Options and arguments that several verbs share, and what becomes of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from assay.manifests.base import Manifest

Kind = TypeVar("Kind", bound="Manifest")

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]
RunOrExperiment = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the experiment's file.")]
InProcess = Annotated[bool, typer.Option("--in-process", help="Run in this process, without Ray: for debuggers.")]
LedgerAt = Annotated[
    str | None,
    typer.Option(
        "--ledger", envvar="ASSAY_LEDGER", help="The ledger's folder or URI; default: ./ledger, or the experiment's."
    ),
]


def run_and_ledger(run: str, ledger: str | None) -> tuple[str, str]:
    """A run's id and its ledger, of either form of RUN."""
    if not run.endswith((".yaml", ".yml", ".json")):
        return run, ledger or "ledger"
    from assay.cluster import pipeline

    prepared = pipeline.prepare(run, ledger=ledger)
    # If some arms were not finished, the next run would be another one: asked about is the one that there is.
    there = prepared.run.run_id if prepared.committed else prepared.run.supersedes or prepared.run.run_id
    return there, prepared.run.experiment.ledger


def read_manifest(path: Path, kind: type[Kind]) -> Kind:
    """The manifest of a file, which must be of this kind.

    Raises:
        InvalidInput: The file cannot be read.
        ManifestError: It holds another kind of manifest, or breaks its schema.
    """
    from assay.cluster.prepare.resolve import read_text
    from assay.manifests import parse

    manifest = parse(read_text(str(path)), file=str(path), kind=kind.__name__)
    assert isinstance(manifest, kind)
    return manifest


def print_json(answer: Any) -> None:
    """Prints an answer as JSON on standard output."""
    typer.echo(json.dumps(answer, indent=2, allow_nan=False))
