"""A report as a table in the terminal."""

import json
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from assay.cluster.report.record import Document
from assay.cluster.report.terminal.check import in_words
from assay.manifests.check_report import RuleReport

_MOST_CLASSES = 12
_MOST_MISTAKES = 20
_STYLES = {"promote": "bold green", "hold": "yellow", "reject": "bold red", "control": "dim"}


def show(report: Document, console: Console) -> None:
    """Prints the verdict table, the reasons, and where the evidence lies."""
    console.print(verdict(report))


def verdict(report: Document) -> RenderableType:
    """The verdict table with its reasons, and a table of the other metrics; both fit 80 columns."""
    primary = report["primary"]
    compared = {row["arm"]: row for row in report["analysis"]["comparisons"] if row["reference"] == report["control"]}
    decided = {row["arm"]: row for row in report["decisions"]}
    confidence = 100 * (1 - report["analysis"]["alpha"])
    table = _table(f"{report['name']}: {report['dataset']['reference']}, {report['dataset']['num_rows']:,} rows")
    table.add_column("arm", overflow="fold")
    table.add_column(_titled(report, primary), justify="right")
    table.add_column("difference", justify="right")
    table.add_column(f"{confidence:.4g} % interval*", justify="right")
    table.add_column("p (adj.)", justify="right")
    table.add_column("verdict")
    others = _table("other metrics")
    others.add_column("arm", overflow="fold")
    names = [name for name in report["directions"] if name != primary]
    for name in names:
        others.add_column(_titled(report, name), justify="right", overflow="fold")
    dropped = {arm["arm"] for arm in report["arms"] if arm["status"] == "dropped"}
    for arm in report["arms"]:
        name = arm["arm"]
        if name in dropped:
            continue
        word = decided[name]["decision"] if name in decided else "control"
        score = _number(arm["metrics"].get(primary))
        table.add_row(name, score, *_difference(compared.get(name)), Text(word, style=_STYLES[word]))
        others.add_row(name, *(_number(arm["metrics"].get(each)) for each in names))
    reasons = Table.grid(padding=(0, 1))
    for name, row in decided.items():
        if name in dropped:
            continue
        why = "; ".join(row["reasons"]) + (f". Next: {row['next_step']}" if row["next_step"] else "")
        reasons.add_row(Text(row["decision"], style=_STYLES[row["decision"]]), name, why)
    words = [Text(f"warning: {warning}", style="yellow") for warning in report["analysis"]["warnings"]]
    if report["dataset"]["withdrawn"]:
        words.insert(0, Text(f"warning: the dataset was {report['dataset']['withdrawn']}", style="bold yellow"))
    words += [
        Text(f"confounded: {arm} against {report['control']}: {why}", style="yellow")
        for arm, why in report["confounded"].items()
    ]
    words += [
        Text(f"{name}: the second class is predicted from a probability of {at:.6g} on, in every arm")
        for name, at in report["thresholds"].items()
    ]
    words += _dataset_words(report)
    words += _wobble_words(report)
    reused = [*_winner_words(report), *_best_words(report), *_race_words(report), *_reuse_words(report)]
    digests = Text(
        f"run {report['run_id']}  scores {report['scores_digest'][:19]}…  plan {report['plan_digest'][:19]}… "
        f"(recorded before the first unit)\nledger {report['ledger']}",
        style="dim",
    )
    simultaneous = Text("* simultaneous: all of them hold together with this confidence", style="dim")
    spent = _cost_table(report)
    tables = [*([others] if names else []), *_spread(report), *spent]
    return Group(table, simultaneous, Text(), reasons, *words, *tables, *reused, digests)


def _spread(report: Document) -> list[RenderableType]:
    """How far one pass over the rows is from another, if there were several: the spread of the means is less."""
    if report["repeats"] == 1:
        return []
    table = _table(f"std. deviation of {report['repeats']} passes")
    table.add_column("arm", overflow="fold")
    for name in report["directions"]:
        table.add_column(name, justify="right", overflow="fold")
    for arm in report["arms"]:
        if arm["pass_std"]:
            table.add_row(arm["arm"], *(_amount(arm["pass_std"][name]) for name in report["directions"]))
    return [table]


def _cost_table(report: Document) -> list[RenderableType]:
    """What each arm cost beside the control, and what the slots cost in all."""
    cost = report["cost"]
    priced = cost["unit"] == "price"
    table = _table("cost" if priced else "cost in slot-seconds: the experiment gives no prices")
    table.add_column("arm", overflow="fold")
    for name in ("price" if priced else "slot-s", "of control's", "points better", "per point"):
        table.add_column(name, justify="right")
    dropped = {arm["arm"] for arm in report["arms"] if arm["status"] == "dropped"}
    for row in cost["arms"]:
        if row["arm"] in dropped:
            continue
        table.add_row(
            row["arm"],
            _amount(row["cost"]),
            "–" if row["ratio_to_control"] is None else f"{row['ratio_to_control']:.3g}x",
            "–" if row["points"] is None else f"{row['points']:+.2f}",
            _amount(row["cost_per_point"]),
        )
    spent = cost["spent"]
    in_all = f"the run's slots in all, idle ones too: {_amount(spent['slot_s'])} s"
    if spent["gpu_s"]:
        in_all += f", {_amount(spent['gpu_s'])} GPU-s"
    if priced:
        in_all += f", price {_amount(spent['price'])}"
    if report["reused"]["num_units"]:
        in_all += "; arms that were taken over show what they had cost in the run that scored them"
    words = [Text(in_all, style="dim")]
    words += [
        Text(f"warning: {event['message']}", style="yellow") for event in report["events"] if event["kind"] == "budget"
    ]
    return [table, *words]


def _amount(value: float | None) -> str:
    """Four significant digits, and thousands as such."""
    return "–" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _race_words(report: Document) -> list[Text]:
    """How many arms the race has dropped; each with its reason is in the JSON."""
    race = report["race"]
    if race is None:
        return []
    return [
        Text(
            f"race: {race['num_dropped']} of {len(report['arms'])} arms dropped, {race['num_units_saved']} of "
            f"{race['num_units']} units saved; why each: assay report {report['run_id']} --ledger {report['ledger']} --json"
        )
    ]


def _dataset_words(report: Document) -> list[Text]:
    """What the rows are, how many rules they were held to, and a warning for each that they break all the same."""
    dataset, check = report["dataset"], report["dataset"]["check"]
    words = [Text(f"rows: {dataset['description']}")] if dataset["description"] else []
    held = check["num_rules"] - len(check["warnings"])
    words.append(Text(f"the rows hold {held} of the {check['num_rules']} rules of their contract"))
    rules = [RuleReport.model_validate_json(json.dumps(rule)) for rule in check["warnings"]]
    words += [Text(f"warning: the rows break {in_words(rule)}", style="yellow") for rule in rules]
    words += [Text(f"changed when the rows were frozen: {change}") for change in check["changes"]]
    return words


def _wobble_words(report: Document) -> list[Text]:
    """How far the arms' scores depend on the batch size, and a warning for each that does too far."""
    words = []
    primary, measured = report["primary"], [arm["wobble"] for arm in report["arms"] if arm["wobble"] is not None]
    floors = [wobble["noise_floor"] for wobble in measured if wobble["noise_floor"] is not None]
    if floors:
        num_rows = max(wobble["rows"] for wobble in measured)
        flips = f"{sum(wobble['flips'] for wobble in measured)} predictions flip"
        words.append(
            Text(f"{num_rows} rows of each arm scored alone: {primary} moves by {max(floors):.2g} at most, {flips}")
        )
    for arm in report["arms"]:
        wobble = arm["wobble"]
        if wobble is None or (
            wobble["noise_floor"] is not None and wobble["noise_floor"] <= report["wobble_tolerance"]
        ):
            continue
        scored = "; its rows were scored one by one" if arm["batch_size"] == 1 else ""
        found = wobble["reason"] or (
            f"{wobble['flips']} of {wobble['rows']} predictions flip when rows are scored alone, {primary} moves by "
            f"{wobble['noise_floor']:.4g}"
        )
        words.append(Text(f"warning: {arm['arm']} depends on the batch size: {found}{scored}", style="yellow"))
    return words


def _winner_words(report: Document) -> list[Text]:
    winner = report["winner"]
    return [] if winner is None else [Text(f"winner: {winner['arm']}: {winner['won_by']}", style=_STYLES["promote"])]


def _best_words(report: Document) -> list[Text]:
    """The best variant's estimate after it was picked as the best, if that takes anything off."""
    best = report["analysis"]["best"]
    if best is None or best["estimate_corrected"] is None:
        return []
    interval = _interval(best["ci_low_corrected"], best["ci_high_corrected"], sign="+")
    return [
        Text(
            f"best: {best['arm']} {best['estimate']:+.4f}; corrected for having been picked as the best "
            f"{best['estimate_corrected']:+.4f} {interval}"
        )
    ]


def _reuse_words(report: Document) -> list[Text]:
    """One line on what was not evaluated here, if anything was not."""
    reused = report["reused"]
    if not reused["num_units"]:
        return []
    part = f", {reused['num_arms_in_part']} in part," if reused["num_arms_in_part"] else ""
    runs = f"run{'s' if len(reused['runs']) > 1 else ''} {', '.join(reused['runs'])}"
    return [Text(f"{reused['num_arms']} of {len(report['arms'])} arms{part} reused from {runs}")]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)


def _titled(report: Document, metric: str) -> str:
    return f"{metric} {'↑' if report['directions'][metric] == 'higher' else '↓'}"


def _difference(comparison: dict[str, Any] | None) -> tuple[str, str, str]:
    if comparison is None:
        return "", "", ""
    if comparison["estimate"] is None:
        return "not testable", "", ""
    interval = _interval(comparison["ci_low"], comparison["ci_high"], sign="+")
    return f"{comparison['estimate']:+.4f}", interval, _p_words(comparison["p_adjusted"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def show_analysis(found: dict[str, Any], console: Console) -> None:
    """Prints one analysis: estimates, omnibus, comparisons, what could not be tested."""
    confidence = 100 * (1 - found["alpha"])
    arms = _table(f"{found['metric']}: {found['num_rows']:,} rows, {found['design']}")
    for name in ("arm", "mean", "std. error", f"{confidence:g} % interval"):
        arms.add_column(name, justify="left" if name == "arm" else "right")
    for row in found["arms"]:
        low_high = (row["ci_low"], row["ci_high"])
        arms.add_row(row["arm"], _number(row["mean"]), _number(row["std_error"]), _interval(*low_high))
    console.print(arms)
    omnibus = found["omnibus"]
    if omnibus is not None:
        p_value = omnibus["p_value"] if omnibus["p_value_corrected"] is None else omnibus["p_value_corrected"]
        console.print(f"no difference among all arms ({omnibus['test']}): p = {_p_words(p_value)}")
    compared = _table(f"family: {found['family']}, {confidence:g} % simultaneous intervals")
    for name in ("arm", "against", "difference", "interval", "p (adj.)", "method"):
        compared.add_column(name, justify="right" if name in ("difference", "interval", "p (adj.)") else "left")
    for row in found["comparisons"]:
        compared.add_row(
            row["arm"],
            row["reference"],
            "–" if row["estimate"] is None else f"{row['estimate']:+.4f}",
            _interval(row["ci_low"], row["ci_high"], sign="+"),
            _p_words(row["p_adjusted"]),
            row["method"],
        )
    console.print(compared)
    if found["power"]["mde"] is not None:
        console.print(
            f"smallest difference that these rows resolve with power {found['power']['power']:g}: "
            f"{found['power']['mde']:.4g}"
        )
    for reason in found["not_testable"]:
        console.print(Text(f"not testable: {reason['what']} {reason['name']}: {reason['reason']}", style="yellow"))
    for warning in found["warnings"]:
        console.print(Text(f"warning: {warning}", style="yellow"))
    mark = "  EXPLORATORY: not the recorded plan, promotes nothing" if found["exploratory"] else ""
    console.print(Text(f"plan {found['plan_digest']}{mark}", style="dim"))


def show_power(answer: dict[str, Any], console: Console) -> None:
    """Prints how many rows an effect needs, or which effect some rows resolve, and on what that rests."""
    rows, effect = answer["rows"], answer["effect"]
    console.print(
        f"{'–' if rows is None else f'{rows:,}'} rows resolve a difference of "
        f"{'–' if effect is None else f'{effect:.6g}'} with power {answer['power']:g} at alpha {answer['alpha']:g}"
    )
    console.print(Text(answer["method"], style="dim"))
    for assumption in answer["assumptions"]:
        console.print(Text(f"assumes: {assumption}", style="dim"))


def show_outcomes(found: Document, console: Console) -> None:
    """Prints each arm's confusion matrix, of many classes its fullest wrong cells, and its histogram.

    Titles are lines of their own: a table folds its title to the width of its columns.
    """
    for arm in found["arms"]:
        cells = {(row["label"], row["prediction"]): row["num_rows"] for row in arm["confusions"]}
        names = sorted(
            {name for cell in cells for name in cell if name is not None}, key=lambda name: (len(name), name)
        )
        if cells and len(names) <= _MOST_CLASSES:
            console.print(f"{arm['arm']}: rows by label (down) and prediction (across)")
            table = _table("")
            table.add_column("")
            for name in names:
                table.add_column(name, justify="right")
            for label in names:
                table.add_row(label, *(f"{cells.get((label, said), 0):,}" for said in names))
            console.print(table)
        elif cells:
            console.print(f"{arm['arm']}: most frequent mistakes of {len(names)} classes")
            table = _table("")
            for title in ("label", "prediction", "rows"):
                table.add_column(title, justify="right" if title == "rows" else "left")
            wrong = [(cell, count) for cell, count in cells.items() if cell[0] != cell[1]]
            for (label, said), count in wrong[:_MOST_MISTAKES]:
                table.add_row(label, said, f"{count:,}")
            console.print(table)
        bins = arm["histograms"]
        if bins:
            of = "probability of the predicted class" if bins[0]["of"] == "probability" else "values"
            console.print(f"{arm['arm']}: {of}")
            table = _table("")
            for title in ("from", "to", "rows", "of them right"):
                table.add_column(title, justify="right")
            for row in bins:
                if row["num_rows"]:
                    right = "" if row["num_correct"] is None else f"{row['num_correct'] / row['num_rows']:.1%}"
                    table.add_row(_bound(row["low"]), _bound(row["high"]), f"{row['num_rows']:,}", right)
            console.print(table)


def _bound(edge: float | None) -> str:
    return "" if edge is None else f"{edge:.4g}"


def show_timing(found: dict[str, Any], console: Console) -> None:
    """Prints where the time went: a row an arm, a row a slot."""
    steps = ("load", "fetch", "wait", "copy", "forward", "score", "write")
    for group, last in (("arm", "reused"), ("slot", "busy")):
        table = _table(f"seconds per {group}")
        table.padding = 0  # twelve columns on 80; what divides them leaves one space
        table.add_column(group, overflow="fold")
        for name in ("rows", "MB in", *steps, "rows/s", last):
            table.add_column(name, justify="right", no_wrap=True)
        for row in found[f"{group}s"]:
            fetched, speed = row["bytes_fetched"], row["rows_per_s"]
            table.add_row(
                row[group],
                f"{row['num_rows']:,}",
                "–" if fetched is None else f"{fetched / 1e6:,.1f}",
                *(_seconds(row["read_s" if step == "wait" else f"{step}_s"]) for step in steps),
                "–" if speed is None else f"{speed:,.0f}",
                _units(row) if group == "arm" else _share(row["busy"]),
            )
        console.print(table)
    legend = (
        "fetch: shards read beside the work; wait: for rows that were not there yet, decoding included; copy: inputs "
        "into tensors and to the device, on a GPU beside the work; forward: the variant's own work; reused: units taken "
        "over from another run, which has their times; busy: the share of its wall time, from its first unit to its "
        "last, that a slot worked"
    )
    console.print(Text(legend, style="dim"))
    console.print(Text(f"run {found['run_id']}  ledger {found['ledger']}", style="dim"))


def _units(arm: dict[str, Any]) -> str:
    reused = arm["num_units_reused"]
    return f"{reused} of {reused + arm['num_units']}" if reused else ""


def _share(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.0f} %"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if value < 1 else f"{value:,.1f}"


def _interval(low: float | None, high: float | None, *, sign: str = "") -> str:
    return "not testable" if low is None or high is None else f"[{low:{sign}.4f}, {high:{sign}.4f}]"


def _p_words(p_value: float | None) -> str:
    return "–" if p_value is None else "<0.0001" if p_value < 1e-4 else f"{p_value:.4f}"
