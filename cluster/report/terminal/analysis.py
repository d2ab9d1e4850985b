"""Prints an analysis in the terminal: estimates, comparisons, and what could not be tested."""

from rich.console import Console
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.analysis import Analysis


def show(analysis: Analysis, console: Console) -> None:
    """Prints estimates, the omnibus test, comparisons, the minimum detectable effect, and what could not be tested.

    Args:
        analysis: The analysis.
        console: Where to print.
    """
    confidence = 100 * (1 - analysis.alpha)
    arms = formatting.table(f"{analysis.metric}: {analysis.num_rows:,} rows, {analysis.design}")
    for name in ("arm", "mean", "std. error", f"{confidence:g} % interval"):
        arms.add_column(name, justify="left" if name == "arm" else "right")
    for row in analysis.arms:
        low_high = (row.ci_low, row.ci_high)
        arms.add_row(
            row.arm,
            formatting.number(row.mean),
            formatting.number(row.std_error),
            formatting.interval(*low_high),
        )
    console.print(arms)
    omnibus = analysis.omnibus
    if omnibus is not None:
        p_value = omnibus.p_value if omnibus.p_value_corrected is None else omnibus.p_value_corrected
        console.print(f"test that all arms are equal ({omnibus.test}): p = {formatting.p_value(p_value)}")
    compared = formatting.table(f"family: {analysis.family}, {confidence:g} % simultaneous intervals")
    for name in ("arm", "against", "difference", "interval", "p (adj.)", "method"):
        compared.add_column(name, justify="right" if name in ("difference", "interval", "p (adj.)") else "left")
    for row in analysis.comparisons:
        compared.add_row(
            row.arm,
            row.reference,
            "–" if row.estimate is None else f"{row.estimate:+.4f}",
            formatting.interval(row.ci_low, row.ci_high, sign="+"),
            formatting.p_value(row.p_adjusted),
            row.method,
        )
    console.print(compared)
    if analysis.power.mde is not None:
        console.print(f"minimum detectable effect at power {analysis.power.power:g}: {analysis.power.mde:.4g}")
    for reason in analysis.not_testable:
        console.print(Text(f"not testable: {reason.what} {reason.name}: {reason.reason}", style="yellow"))
    for warning in analysis.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    mark = "  EXPLORATORY: not the recorded plan, so it cannot promote" if analysis.exploratory else ""
    console.print(Text(f"plan {analysis.plan_digest}{mark}", style="dim"))
