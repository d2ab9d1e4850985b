"""The verbs that compute statistics: analyze scores by a plan, and power analysis."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, LedgerAt, print_json, read_manifest, run_and_ledger

app = standard_output.Verbs()


@app.command()
def analyze(
    scores: Annotated[
        str, typer.Argument(help="A csv, tsv or parquet table of scores, a run's id, or an experiment file.")
    ],
    plan: Annotated[Path, typer.Option(help="The analysis plan (YAML).")],
    ledger: LedgerAt = None,
    as_json: AsJson = False,
) -> None:
    """Analyse a table of scores by a plan, or re-analyse a recorded run by another plan (marked exploratory)."""
    from assay.manifests import Plan
    from assay.stats import analysis
    from assay.stats.samples import table

    parsed_plan = read_manifest(plan, Plan)
    if table.is_table(scores):
        result = analysis.analyze(
            table.read_scores(scores, parsed_plan), parsed_plan, metric=parsed_plan.metric or "score"
        )
    else:
        from assay.cluster.commit.analysis import reanalysed
        from assay.evaluator.ledger.committed_run import CommittedRun
        from assay.evaluator.ledger.opening import open_ledger

        run_id, uri = run_and_ledger(scores, ledger)
        result = reanalysed(CommittedRun(open_ledger(uri), run_id), parsed_plan)
    if as_json:
        print_json(result.plain())
        return

    from assay.cluster.report.terminal import analysis as terminal

    terminal.show(result, standard_output.console())


@app.command()
def power(
    design: Annotated[
        Literal["paired", "unpaired"], typer.Option(help="Whether all arms score the same rows.")
    ] = "paired",
    scale: Annotated[
        Literal["continuous", "binary", "count", "ordinal"],
        typer.Option(help="Type of score; binary compares proportions, all others means."),
    ] = "continuous",
    effect: Annotated[float | None, typer.Option(help="The difference to detect, in units of the score.")] = None,
    rows: Annotated[int | None, typer.Option(help="Number of rows (unpaired: per arm).")] = None,
    power: Annotated[float, typer.Option(help="Probability of detecting the effect.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Family-wise error rate, two-sided.")] = 0.05,
    sd_difference: Annotated[float | None, typer.Option(help="Paired: standard deviation of the differences.")] = None,
    sd: Annotated[float | None, typer.Option(help="Standard deviation of scores within an arm.")] = None,
    correlation: Annotated[float | None, typer.Option(help="Paired: correlation of two arms' scores.")] = None,
    discordant: Annotated[
        float | None, typer.Option(help="Paired, binary: share of rows on which two arms differ.")
    ] = None,
    rate_control: Annotated[float | None, typer.Option(help="Binary: the control's share of ones.")] = None,
    rate_variant: Annotated[float | None, typer.Option(help="Binary: the variant's share of ones.")] = None,
    arms: Annotated[int, typer.Option(help="Number of arms, including the control.")] = 2,
    family: Annotated[
        Literal["dunnett", "tukey"], typer.Option(help="dunnett: variants against the control; tukey: all pairs.")
    ] = "dunnett",
    cluster_size: Annotated[float | None, typer.Option(help="Average number of rows per cluster.")] = None,
    icc: Annotated[float | None, typer.Option(help="Intraclass correlation (paired: of the differences).")] = None,
    omnibus: Annotated[
        Literal["rm_anova", "oneway"] | None,
        typer.Option(help="Power of this omnibus test; the effect is the largest difference between two arms."),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="rm_anova: expected sphericity epsilon.")] = 1.0,
    pilot: Annotated[
        str | None, typer.Option(help="A table of pilot scores to estimate variation from; needs --plan.")
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="The analysis plan (YAML) for --pilot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute how many rows detect an effect, or which effect a number of rows can detect."""
    from assay.manifests import InvalidInput, Plan
    from assay.stats.power import power as power_analysis
    from assay.stats.power.question import Question
    from assay.stats.samples import table

    if pilot is not None:
        if plan is None:
            raise InvalidInput(
                "a pilot needs a plan, which names its columns", field="--plan", remedy="add --plan PLAN.yaml"
            )
        parsed_plan = read_manifest(plan, Plan)
        answer = power_analysis.from_pilot(
            table.read_scores(pilot, parsed_plan), parsed_plan, effect=effect, rows=rows, power=power
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
        print_json(answer.plain())
        return

    from assay.cluster.report.terminal import power as terminal

    terminal.show(answer, standard_output.console())
