"""`assay schema`: print the JSON Schema of a manifest, or of what a command prints with `--json`."""

from typing import Annotated

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import print_json

app = standard_output.Verbs()


@app.command()
def schema(
    kind: Annotated[
        str,
        typer.Argument(
            help="A manifest (Contract, Dataset, Experiment, Plan, Policy, Suite, Variant) or what `--json` prints (RunReport, GateAnswer, Analysis, ...)."
        ),
    ],
) -> None:
    """Print the JSON Schema of a manifest, for your editor, or of what a command prints with `--json`, for your scripts."""
    from pydantic import TypeAdapter

    from assay.manifests import KINDS, InvalidInput
    from assay.manifests.errors import did_you_mean
    from assay.manifests.printed import PRINTED

    known = {**KINDS, **PRINTED}
    if kind not in known:
        raise InvalidInput("unknown kind of manifest", value=kind, remedy=did_you_mean(kind, list(known)))
    print_json(TypeAdapter(known[kind]).json_schema(mode="serialization" if kind in PRINTED else "validation"))
