"""A run's verdict in the terminal: every arm against the control, the reasons, and the costs."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.cluster.report.terminal.check import broken_rule_line
from assay.manifests.comparison import Comparison
from assay.manifests.run_report import ReportedArm, ReportedDataset, RunReport

_STYLES = {"promote": "bold green", "hold": "yellow", "reject": "bold red", "control": "dim"}


def show(report: RunReport, console: Console) -> None:
    """Prints the verdict with its reasons, and where the evidence is."""
    console.print(verdict(report))


def verdict(report: RunReport) -> RenderableType:
    """The verdict table with its reasons, notes, other metrics and costs. Tables fit into 80 columns."""
    digests = Text(
        f"run {report.run_id}  scores {report.scores_digest[:19]}…  plan {report.plan_digest[:19]}… "
        f"({_when_recorded(report)})\nledger {report.ledger}",
        style="dim",
    )
    return Group(
        _verdict_table(report),
        Text("* simultaneous: all intervals cover their true values with this confidence", style="dim"),
        Text(),
        _reasons(report),
        *_notes(report),
        *_other_metrics(report),
        *_repeat_table(report),
        *_cost_table(report),
        *_winner_note(report),
        *_best_note(report),
        *_race_note(report),
        *_reuse_note(report),
        digests,
    )


def _when_recorded(report: RunReport) -> str:
    """When the plan was recorded. Units that were reused had been scored, and perhaps analysed, before."""
    if report.reused.num_units:
        return "recorded before the first unit of this run; reused units were scored earlier"
    return "recorded before the first unit"


def _shown_arms(report: RunReport) -> list[ReportedArm]:
    """All arms except those that a race eliminated."""
    return [arm for arm in report.arms if arm.status != "eliminated"]


def _verdict_table(report: RunReport) -> Table:
    primary = report.metric
    compared = {row.arm: row for row in report.analysis.comparisons if row.reference == report.control}
    decisions = {row.arm: row.decision for row in report.decisions}
    confidence = 100 * (1 - report.analysis.alpha)
    dataset = report.dataset
    units = formatting.counted(report.arms[0].num_units, "unit")
    table = formatting.table(f"{report.name}: {dataset.reference}, {dataset.num_rows:,} rows in {units}")
    table.add_column("arm", overflow="fold")
    for name in (_titled(report, primary), "difference", f"{confidence:.4g} % interval*", "p (adj.)"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for arm in _shown_arms(report):
        name = arm.arm
        decision = decisions.get(name, "control")
        score = formatting.number(arm.metrics.get(primary))
        table.add_row(name, score, *_difference(compared.get(name)), Text(decision, style=_STYLES[decision]))
    return table


def _other_metrics(report: RunReport) -> list[RenderableType]:
    """A table of all metrics except the primary one, if there are any."""
    names = [name for name in report.directions if name != report.metric]
    if not names:
        return []
    table = formatting.table("other metrics")
    table.add_column("arm", overflow="fold")
    for name in names:
        table.add_column(_titled(report, name), justify="right", overflow="fold")
    for arm in _shown_arms(report):
        table.add_row(arm.arm, *(formatting.number(arm.metrics.get(name)) for name in names))
    return [table]


def _reasons(report: RunReport) -> Table:
    shown = {arm.arm for arm in _shown_arms(report)}
    table = Table.grid(padding=(0, 1))
    for row in report.decisions:
        if row.arm in shown:
            reasons = "; ".join(row.reasons).rstrip(" .\n") + (f". Next: {row.next_step}" if row.next_step else "")
            table.add_row(Text(row.decision, style=_STYLES[row.decision]), row.arm, reasons)
    return table


def _notes(report: RunReport) -> list[Text]:
    """Notes and warnings about the analysis, the dataset and the batch size."""
    notes = [Text(f"warning: {warning}", style="yellow") for warning in report.analysis.warnings]
    if report.dataset.withdrawn:
        notes.insert(0, Text(f"warning: the dataset was {report.dataset.withdrawn}", style="bold yellow"))
    notes += [
        Text(f"confounded: {arm} against {report.control}: {reason}", style="yellow")
        for arm, reason in report.confounded.items()
    ]
    notes += [Text(f"altered: {arm}: {reason}", style="yellow") for arm, reason in report.altered.items()]
    notes += [
        Text(f"{name}: every arm predicts the second class if its probability is at least {threshold:.6g}")
        for name, threshold in report.thresholds.items()
    ]
    return [*notes, *dataset_notes(report.dataset), *_batch_size_notes(report)]


def _repeat_table(report: RunReport) -> list[RenderableType]:
    """The standard deviation of each metric over repeats, if there were several. That of their mean is smaller."""
    if report.num_repeats == 1:
        return []
    table = formatting.table(f"std. deviation over {report.num_repeats} repeats")
    table.add_column("arm", overflow="fold")
    for name in report.directions:
        table.add_column(name, justify="right", overflow="fold")
    for arm in report.arms:
        if arm.repeat_std:
            table.add_row(arm.arm, *(formatting.amount(arm.repeat_std[name]) for name in report.directions))
    return [table]


def _cost_table(report: RunReport) -> list[RenderableType]:
    """What each arm cost compared with the control, and the total cost of the run's slots."""
    cost = report.cost
    priced = cost.quantity == "price"
    table = formatting.table("cost" if priced else "cost in slot-seconds (the experiment has no prices)")
    table.add_column("arm", overflow="fold")
    for name in ("price" if priced else "slot-s", "vs control", "gain (points)", "cost per point"):
        table.add_column(name, justify="right")
    shown = {arm.arm for arm in _shown_arms(report)}
    for row in cost.arms:
        if row.arm not in shown:
            continue
        table.add_row(
            row.arm,
            formatting.amount(row.cost),
            "–" if row.ratio_to_control is None else f"{row.ratio_to_control:.3g}x",
            "–" if row.points is None else f"{row.points:+.2f}",
            formatting.amount(row.cost_per_point),
        )
    spent = cost.spent
    total = f"total slot time of the run, idle time included: {formatting.amount(spent.slot_s)} s"
    if spent.gpu_s:
        total += f", {formatting.amount(spent.gpu_s)} GPU-s"
    if priced:
        total += f", price {formatting.amount(spent.price)}"
    if report.reused.num_units:
        total += "; reused arms are not included: the table shows what they cost in the run that scored them"
    notes = [
        Text(f"a point is 0.01 of {report.metric}; loading and probing an arm are not part of its cost", style="dim")
    ]
    notes.append(Text(total, style="dim"))
    notes += [Text(f"warning: {event.message}", style="yellow") for event in report.events if event.kind == "budget"]
    return [table, *notes]


def _race_note(report: RunReport) -> list[Text]:
    """How many arms the race eliminated. The reasons are in the JSON."""
    race = report.race
    if race is None:
        return []
    return [
        Text(
            f"race: {race.num_eliminated} of {len(report.arms)} arms eliminated, {race.num_units_saved} of "
            f"{race.num_units} units saved; reasons: assay report {report.run_id} --ledger {report.ledger} --json"
        )
    ]


def dataset_notes(dataset: ReportedDataset) -> list[Text]:
    """The dataset's description, how many contract rules its rows pass, and a warning for each violated rule."""
    check = dataset.check
    notes = [Text(f"rows: {dataset.description}")] if dataset.description else []
    broken = [rule for rule in check.rules if rule.is_broken]
    num_passed = len(check.rules) - len(broken)
    notes.append(Text(f"the rows pass {num_passed} of {len(check.rules)} rules of their contract"))
    notes += [Text(f"warning: contract rule {broken_rule_line(rule)}", style="yellow") for rule in broken]
    notes += [Text(f"changed when the rows were frozen: {change}") for change in check.changes]
    return notes


def _batch_size_notes(report: RunReport) -> list[Text]:
    """The batch-size sensitivity of all arms, and a warning for each arm that exceeds the tolerance."""
    notes = []
    primary, tolerance = report.metric, report.batch_sensitivity_tolerance
    measured = [arm.batch_sensitivity for arm in report.arms if arm.batch_sensitivity is not None]
    floors = [sensitivity.noise_floor for sensitivity in measured if sensitivity.noise_floor is not None]
    if floors:
        num_rows = max(sensitivity.num_rows for sensitivity in measured)
        most = max(sensitivity.num_flips for sensitivity in measured)
        flips = "all predictions stay the same" if not most else f"up to {most} predictions of an arm differ"
        if max(floors):
            flips += f", and its {primary} by up to {max(floors):.2g}"
        notes.append(Text(f"batch-size check ({num_rows} rows of each arm, scored one by one and in batches): {flips}"))
    for arm in report.arms:
        sensitivity = arm.batch_sensitivity
        if sensitivity is None or (sensitivity.noise_floor is not None and sensitivity.noise_floor <= tolerance):
            continue
        scored = "; its rows were scored one by one" if arm.batch_size == 1 else ""
        reason = sensitivity.reason or (
            f"{sensitivity.num_flips} of {sensitivity.num_rows} predictions flip at batch size 1, {primary} changes by "
            f"{sensitivity.noise_floor:.4g} (tolerance {tolerance:g})"
        )
        notes.append(Text(f"warning: {arm.arm} is sensitive to the batch size: {reason}{scored}", style="yellow"))
    return notes


def _winner_note(report: RunReport) -> list[Text]:
    winner = report.winner
    return [] if winner is None else [Text(f"winner: {winner.arm}: {winner.won_by}", style=_STYLES["promote"])]


def _best_note(report: RunReport) -> list[Text]:
    """The best variant's estimate, corrected for selection bias, if the analysis has a correction."""
    best = report.analysis.best
    if best is None or best.estimate_corrected is None:
        return []
    interval = formatting.interval(best.ci_low_corrected, best.ci_high_corrected, sign="+")
    return [
        Text(
            f"best estimate (not a verdict): {best.arm} {best.estimate:+.4f}; corrected for selection "
            f"(it was picked because it is the largest): {best.estimate_corrected:+.4f} {interval}"
        )
    ]


def _reuse_note(report: RunReport) -> list[Text]:
    """How many arms were reused from other runs, if any."""
    reused = report.reused
    if not reused.num_units:
        return []
    partial = f" and parts of {reused.num_arms_in_part} more" if reused.num_arms_in_part else ""
    runs = f"run{'s' if len(reused.runs) > 1 else ''} {', '.join(reused.runs)}"
    return [Text(f"{reused.num_arms} of {len(report.arms)} arms{partial} reused from {runs}")]


def _titled(report: RunReport, metric: str) -> str:
    return f"{metric} {'↑' if report.directions[metric] == 'higher' else '↓'}"


def _difference(comparison: Comparison | None) -> tuple[str, str, str]:
    if comparison is None:
        return "", "", ""
    if comparison.estimate is None:
        return "not testable", "", ""
    interval = formatting.interval(comparison.ci_low, comparison.ci_high, sign="+")
    return f"{comparison.estimate:+.4f}", interval, formatting.p_value(comparison.p_adjusted)
