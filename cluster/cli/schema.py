"""`assay schema`: print the JSON Schema of a manifest."""

from typing import Annotated

import typer

from assay.cluster.cli.options import print_json

app = typer.Typer()


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="Contract, Dataset, Experiment, Plan, Policy, Suite or Variant.")],
) -> None:
    """Print the JSON Schema of a manifest, for your editor."""
    from pydantic import TypeAdapter

    from assay.manifests import KINDS, InvalidInput
    from assay.manifests.errors import did_you_mean

    if kind not in KINDS:
        raise InvalidInput("unknown kind of manifest", value=kind, remedy=did_you_mean(kind, list(KINDS)))
    print_json(TypeAdapter(KINDS[kind]).json_schema())
