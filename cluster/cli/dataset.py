"""The verbs for frozen datasets: list, show, verify and withdraw them."""

from typing import Annotated

import typer

from assay.cluster.cli import dataset_diff, dataset_leakage, standard_output
from assay.cluster.cli.options import AsJson, print_json

app = standard_output.Verbs(
    help="Frozen datasets: list, show, verify, compare and withdraw them, and search for leaks."
)
app.add_typer(dataset_diff.app)
app.add_typer(dataset_leakage.app)

Location = Annotated[
    str, typer.Argument(metavar="STORE/NAME@VERSION", help="The dataset; or STORE/NAME@sha256:DIGITS.")
]


@app.command()
def ls(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The dataset store: a folder or URI.")] = "datasets",
    as_json: AsJson = False,
) -> None:
    """List the datasets of a store."""
    from assay.cluster.report import datasets
    from assay.evaluator.errors import DamageError
    from assay.evaluator.storage import open_store

    opened = open_store(store)
    rows, damage = datasets.list_datasets(opened)
    if as_json:
        print_json(rows)
    elif rows:
        from assay.cluster.report.terminal import dataset as terminal

        terminal.show_list(rows, standard_output.console())
    elif not damage:
        standard_output.remark(f"{opened.uri} has no datasets")
    if damage:
        raise DamageError("\n".join(damage))


@app.command()
def show(dataset: Location, as_json: AsJson = False) -> None:
    """Show a dataset: its columns, rules, profile, warnings, sources and findings."""
    from assay.cluster.report import datasets
    from assay.evaluator.data.frozen.shards import open_dataset

    manifest, store = open_dataset(dataset)
    described = datasets.describe(store, manifest)
    if as_json:
        print_json(described)
        return

    from assay.cluster.report.terminal import dataset as terminal

    terminal.show(described, standard_output.console())


@app.command()
def verify(dataset: Location, as_json: AsJson = False) -> None:
    """Read every shard and compare it with the manifest. Exit code 1 if anything is damaged, else 0."""
    from assay.cluster.cli import progress_bars
    from assay.evaluator.data.frozen import shards

    manifest, store = shards.open_dataset(dataset)
    with progress_bars.of_shards(len(manifest.shards)) as advance:
        shards.verify(manifest, store, on_shard=advance)
    if as_json:
        print_json({"reference": manifest.reference, "digest": manifest.digest(), "num_shards": len(manifest.shards)})
        return
    shards = "1 shard" if len(manifest.shards) == 1 else f"{len(manifest.shards):,} shards"
    standard_output.say(f"{manifest.reference}: {shards}, {manifest.num_rows:,} rows: intact")


@app.command()
def withdraw(
    dataset: Location,
    reason: Annotated[str, typer.Option(help="Why it should not be used any more.")],
    by: Annotated[str, typer.Option(help="Your name; anyone who reads the dataset can see it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Withdraw a dataset version. Its rows are kept; runs that use it show a warning and cannot promote."""
    import datetime as dt

    from assay.cluster.report.terminal import dataset as terminal
    from assay.evaluator.data.frozen import findings
    from assay.evaluator.data.frozen.shards import open_dataset
    from assay.manifests.errors import InvalidInput
    from assay.manifests.finding import LONGEST_NAME, LONGEST_REASON, Withdrawal

    manifest, store = open_dataset(dataset)
    is_short = reason.strip() and len(reason) <= LONGEST_REASON and len(by) <= LONGEST_NAME
    if not (is_short and (reason + by).isprintable()):
        raise InvalidInput(
            "a withdrawal needs a short reason",
            field="--reason",
            value=reason,
            bound=f"1 to {LONGEST_REASON:,} printable characters, and --by with at most {LONGEST_NAME}",
            remedy="say why the version should not be used, for later readers",
        )
    existing = findings.findings_of(store, manifest.reference, rows_digest=manifest.rows_digest)
    withdrawal = next((each for each in existing if isinstance(each, Withdrawal) and each.reason == reason), None)
    if withdrawal is None:
        withdrawal = Withdrawal(
            reference=manifest.reference,
            rows_digest=manifest.rows_digest,
            found_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            found_by=by,
            reason=reason,
        )
        findings.keep(store, withdrawal)
    answer = withdrawal.model_dump(mode="json")
    if as_json:
        print_json(answer)
        return
    standard_output.say(terminal.withdrawal_sentence({"reference": manifest.reference, "withdrawn": answer}))
