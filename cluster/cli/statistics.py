"""The verbs that compute statistics: a plan carried out on scores, and how many rows an effect needs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.cluster.cli.options import AsJson, LedgerAt, print_json, read_manifest, run_and_ledger

app = typer.Typer()


@app.command()
def analyze(
    scores: Annotated[str, typer.Argument(help="A csv or parquet table of scores; or a run's id, or its experiment.")],
    plan: Annotated[Path, typer.Option(help="The plan's file.")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a plan on any table of scores, or, marked exploratory, another plan on a recorded run."""
    from assay.manifests import Plan
    from assay.stats import analysis
    from assay.stats.samples import table

    planned = read_manifest(plan, Plan)
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

    from assay.cluster.report.terminal import analysis as terminal

    terminal.show(found.to_json(), Console())


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
    from assay.manifests import InvalidInput, Plan
    from assay.stats.power import power as power_analysis
    from assay.stats.power.question import Question
    from assay.stats.samples import table

    if pilot is not None:
        if plan is None:
            raise InvalidInput(
                "a pilot needs the plan that it is read by", field="--plan", remedy="add --plan PLAN.yaml"
            )
        planned = read_manifest(plan, Plan)
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

    from assay.cluster.report.terminal import power as terminal

    terminal.show(answer.to_json(), Console())
