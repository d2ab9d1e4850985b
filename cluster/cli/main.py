"""The command line: verbs only. Whatever is heavy is imported inside the verb that needs it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from assay.cluster.cli import check, contract, dataset, export, gate, jobs, ledger, verify
from assay.cluster.cli.ledger import AsJson, InProcess, LedgerAt, RunOrExperiment, print_json, run_and_ledger

if TYPE_CHECKING:
    from assay.cluster.pipeline import Prepared

app = typer.Typer(
    help="Evaluate many model variants on one frozen dataset, and decide which one to ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 invalid input; gate answers 0 promote, 3 hold, 4 reject.",
)
app.add_typer(check.app)  # no name: its verbs are ours
app.add_typer(contract.app, name="contract")
app.add_typer(dataset.app, name="dataset")
app.add_typer(gate.app, name="gate")
app.add_typer(ledger.app, name="ledger")
app.add_typer(export.app, name="export")
app.add_typer(jobs.app)
app.add_typer(verify.app)


_INTERRUPTED = 130
"""Typer's exit code after ctrl-C, which it keeps quiet about."""


def main() -> None:
    """The console script: our errors become one message and an exit code, never a traceback."""
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            typer.echo("interrupted; what was published stays: run the same command to go on", err=True)
        raise
    except Exception as error:
        from assay.manifests.errors import AssayError

        if not isinstance(error, AssayError):
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's files, dataset and ledger go.")] = Path("assay-demo"),
    in_process: InProcess = False,
    as_json: AsJson = False,
) -> None:
    """Compare five variants on scikit-learn's handwritten digits: a real verdict in a minute."""
    from assay.cluster.demo.prepare import prepare

    experiment = prepare(folder)
    freeze(
        [folder / "digits.parquet"],
        contract=folder / "contract.yaml",
        name="digits@v1",
        to=str(folder / "datasets"),
        shard_rows=128,
        as_json=False,
    )
    run(experiment, ledger=None, in_process=in_process, as_json=as_json)


@app.command()
def freeze(
    sources: Annotated[list[Path], typer.Argument(help="csv, tsv, jsonl, parquet or Arrow files, in row order.")],
    contract: Annotated[Path, typer.Option(help="The contract: which columns there are, and what for.")],
    name: Annotated[str, typer.Option("--as", help="name@version: never moves to other rows.")],
    to: Annotated[str, typer.Option(help="The dataset store: a folder or URI.")] = "datasets",
    shard_rows: Annotated[int | None, typer.Option(min=1, help="Rows a shard; default: about 64 MiB.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check rows against a contract and freeze them as shards with a digest."""
    from assay.cluster.prepare.resolve import read_text
    from assay.cluster.report.terminal import check
    from assay.evaluator.data.frozen import findings
    from assay.evaluator.data.frozen.freeze import freeze as freeze_rows
    from assay.evaluator.storage import open_store
    from assay.manifests import Contract, parse

    promised = parse(read_text(str(contract)), file=str(contract), kind="Contract")
    assert isinstance(promised, Contract)
    store = open_store(to)
    dataset = freeze_rows(sources, contract=promised, reference=name, store=store, shard_rows=shard_rows)
    for warning in check.warnings(dataset.check):
        typer.echo(f"warning: {warning}", err=True)
    if dataset.contract != promised:
        typer.echo(f"warning: {name} keeps the contract that it was frozen with; this one is another", err=True)
    shards = f"{len(dataset.shards)} shards"
    if dataset.parent is not None:
        shards += f", a sample of {dataset.parent.num_rows:,}"
    typer.echo(f"frozen {dataset.reference}: {dataset.num_rows:,} rows in {shards}, {dataset.digest()}", err=True)
    withdrawal = findings.withdrawal_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    if withdrawal is not None:
        typer.echo(f"warning: {name} was withdrawn on {withdrawal.found_at}: {withdrawal.reason}", err=True)
    if as_json:
        print_json({**dataset.model_dump(mode="json"), "digest": dataset.digest()})


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(help="The experiment's file.")],
    ledger: Annotated[
        str | None, typer.Option("--ledger", envvar="ASSAY_LEDGER", help="The ledger; default: the experiment's.")
    ] = None,
    in_process: InProcess = False,
    no_reuse: Annotated[
        bool, typer.Option("--no-reuse", help="Evaluate also what other runs of the ledger have scored already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and estimate time and cost; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate every arm, analyse as planned, and decide. Goes on where an earlier run stopped."""
    from assay.cluster import pipeline
    from assay.cluster.cli import progress_bars
    from assay.cluster.report.record import document

    prepared = pipeline.prepare(str(experiment), ledger=ledger)
    if prepared.named_by_digest:
        typer.echo(f"the dataset is {prepared.dataset.reference}, {prepared.dataset.digest()}", err=True)
    for warning in prepared.findings.warnings:
        typer.echo(f"warning: {prepared.dataset.reference}: {warning}", err=True)
    if dry_run:
        _forecast(prepared, in_process=in_process, reuses=not no_reuse, as_json=as_json)
        return
    run_id = prepared.run.run_id
    if prepared.committed:
        typer.echo(f"run {run_id} is complete in the ledger: nothing is evaluated again", err=True)
    else:
        arms = {arm.name: prepared.num_units for arm in prepared.run.experiment.arms}
        with progress_bars.of_units(arms) as advance:
            pipeline.run(prepared, in_process=in_process, on_progress=advance, reuses=not no_reuse)
    _answer(document(prepared.store, run_id), as_json=as_json)


@app.command()
def report(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    timing: Annotated[bool, typer.Option("--timing", help="Show where the time went, per arm and per slot.")] = False,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Show what was predicted of which label, and histograms, per arm.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a committed run says, or where its time went, or what its arms predicted."""
    if timing and confusion:
        raise typer.BadParameter("--timing and --confusion show different things: give one of them")
    if not timing and not confusion:
        _answer(_document(run, ledger), as_json=as_json)
        return
    from assay.cluster.report.outcomes import outcomes
    from assay.cluster.report.timing import timing as timing_of
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    found = (timing_of if timing else outcomes)(open_store(uri), run_id)
    if as_json:
        print_json(found)
        return
    from rich.console import Console

    from assay.cluster.report.terminal import verdict

    (verdict.show_timing if timing else verdict.show_outcomes)(found, Console())


@app.command()
def analyze(
    scores: Annotated[str, typer.Argument(help="A csv or parquet table of scores; or a run's id, or its experiment.")],
    plan: Annotated[Path, typer.Option(help="The plan's file.")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a plan on any table of scores, or, marked exploratory, another plan on a recorded run."""
    from assay.cluster.prepare.resolve import read_text
    from assay.manifests import Plan, parse
    from assay.stats import analysis
    from assay.stats.samples import table

    planned = parse(read_text(str(plan)), file=str(plan), kind="Plan")
    assert isinstance(planned, Plan)
    if scores.endswith((".csv", ".parquet")):
        found = analysis.analyze(table.read_scores(scores, planned), planned, metric=planned.metric or "score")
    else:
        from assay.cluster.commit.analysis import reanalysed
        from assay.evaluator.storage import open_store

        run_id, uri = run_and_ledger(scores, ledger)
        found = reanalysed(open_store(uri), run_id, planned)
    if as_json:
        print_json(found.to_json())
        return
    from rich.console import Console

    from assay.cluster.report.terminal import verdict

    verdict.show_analysis(found.to_json(), Console())


@app.command()
def power(
    design: Annotated[Literal["paired", "unpaired"], typer.Option(help="Whether arms score the same rows.")] = "paired",
    scale: Annotated[
        Literal["continuous", "binary", "count", "ordinal"], typer.Option(help="What a score is.")
    ] = "continuous",
    effect: Annotated[float | None, typer.Option(help="The difference to resolve, in units of the score.")] = None,
    rows: Annotated[int | None, typer.Option(help="How many rows there are (unpaired: per arm).")] = None,
    power: Annotated[float, typer.Option(help="The chance to see the effect.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="The family-wise error rate, two-sided.")] = 0.05,
    sd_difference: Annotated[float | None, typer.Option(help="Paired: standard deviation of a difference.")] = None,
    sd: Annotated[float | None, typer.Option(help="Standard deviation of a score.")] = None,
    correlation: Annotated[float | None, typer.Option(help="Paired: correlation of two arms' scores.")] = None,
    discordant: Annotated[float | None, typer.Option(help="Paired binary: share of rows on which arms differ.")] = None,
    rate_control: Annotated[float | None, typer.Option(help="Binary: the control's rate.")] = None,
    rate_variant: Annotated[float | None, typer.Option(help="Binary: the variant's rate.")] = None,
    arms: Annotated[int, typer.Option(help="Arms in the family, the control included.")] = 2,
    family: Annotated[
        Literal["dunnett", "tukey"], typer.Option(help="Control against variants, or all pairs.")
    ] = "dunnett",
    cluster_size: Annotated[float | None, typer.Option(help="Rows in a cluster, on average.")] = None,
    icc: Annotated[float | None, typer.Option(help="Intraclass correlation of differences.")] = None,
    omnibus: Annotated[
        Literal["rm_anova", "oneway"] | None,
        typer.Option(help="Power of this test of all arms; the effect is the largest difference between two arms."),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="rm_anova: the sphericity epsilon that is expected.")] = 1.0,
    pilot: Annotated[str | None, typer.Option(help="A table of pilot scores; needs --plan.")] = None,
    plan: Annotated[Path | None, typer.Option(help="The plan's file, for --pilot.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many rows resolve an effect, or which effect some rows resolve, before a GPU is rented."""
    from assay.cluster.prepare.resolve import read_text
    from assay.manifests import InvalidInput, Plan, parse
    from assay.stats.power import power as power_analysis
    from assay.stats.power.question import Question
    from assay.stats.samples import table

    if pilot is not None:
        if plan is None:
            raise InvalidInput(
                "a pilot needs the plan that it is read by", field="--plan", remedy="add --plan PLAN.yaml"
            )
        planned = parse(read_text(str(plan)), file=str(plan), kind="Plan")
        assert isinstance(planned, Plan)
        answer = power_analysis.from_pilot(
            table.read_scores(pilot, planned), planned, effect=effect, rows=rows, power=power
        )
    else:
        question = Question(
            design=design,
            scale=scale,
            effect=effect,
            rows=rows,
            power=power,
            alpha=alpha,
            sd_difference=sd_difference,
            sd=sd,
            correlation=correlation,
            discordant=discordant,
            rate_control=rate_control,
            rate_variant=rate_variant,
            arms=arms,
            family=family,
            cluster_size=cluster_size,
            icc=icc,
            omnibus=omnibus,
            epsilon=epsilon,
        )
        answer = power_analysis.answer(question)
    if as_json:
        print_json(answer.to_json())
        return
    from rich.console import Console

    from assay.cluster.report.terminal import verdict

    verdict.show_power(answer.to_json(), Console())


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="Contract, Experiment, Plan, Policy, Suite, Variant, Dataset.")],
) -> None:
    """Print a manifest's JSON Schema, for editors."""
    from assay.manifests import KINDS, InvalidInput
    from assay.manifests.errors import did_you_mean

    if kind not in KINDS:
        raise InvalidInput("no known kind of manifest", value=kind, remedy=did_you_mean(kind, list(KINDS)))
    print_json(KINDS[kind].model_json_schema())


def _forecast(prepared: "Prepared", *, in_process: bool, reuses: bool, as_json: bool) -> None:
    from assay.cluster.forecast import forecast

    answer = forecast(prepared, in_process=in_process, reuses=reuses)
    if as_json:
        print_json(answer.to_json())
        return
    from rich.console import Console

    from assay.cluster.report.terminal import forecast as shown

    shown.show(answer.to_json(), Console())


def _document(run: str, ledger: str | None) -> dict[str, Any]:
    from assay.cluster.report.record import document
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    return document(open_store(uri), run_id)


def _answer(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    from rich.console import Console

    from assay.cluster.report.terminal import verdict

    verdict.show(report, Console())
