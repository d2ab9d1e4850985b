"""The gate's answer as JSON, as text, and as Markdown for a pull request."""

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from assay.cluster.commit.gate_review import GateReview, as_rows
from assay.cluster.report.record import Document, gate_answer, winner_of
from assay.manifests.calibration import Calibration

_MARKS = {"pass": "✅", "fail": "❌", "unknown": "❔"}
_MAX_CHARACTERS = 60_000
"""GitHub refuses comments of more than 65,536."""


def answer(asked: GateReview, *, arm: str | None = None) -> Document:
    """What the gate answers, as plain JSON values.

    Args:
        asked: The answer about the run.
        arm: The one arm that is asked about; None: all.
    """
    rows = as_rows(asked.decisions)
    chosen = [row for row in rows if arm in (None, row["arm"])]
    found = asked.analysis
    return {
        "run_id": asked.run.run_id,
        "gate": gate_answer(chosen),
        "winner": winner_of(chosen),
        "policy": {"digest": asked.policy.digest(), "recorded": asked.is_recorded},
        "metric": found.metric,
        "alpha": found.alpha,
        "estimates": {
            each.arm: {"estimate": each.estimate, "ci_low": each.ci_low, "ci_high": each.ci_high}
            for each in found.comparisons
            if each.reference == found.control
        },
        "decisions": chosen,
    }


def text(found: Document) -> str:
    """The answer for a terminal or a log of CI."""
    lines = [f"{found['gate']}: run {found['run_id']}", _policy_words(found)]
    if found["winner"] is not None:
        lines.append(f"winner: {found['winner']['arm']}: {found['winner']['won_by']}")
    for row in found["decisions"]:
        lines.append(f"{row['arm']}: {row['decision']}")
        lines += [f"  {each['question']:<16}{_word(each):<10}{each['evidence']}" for each in row["questions"]]
        lines.append(f"  {'next':<16}{row['next_step']}")
    lines.append("in brackets: does not count, for the policy does not ask for it")
    return "\n".join(lines)


def markdown(found: Document) -> str:
    """The answer as GitHub's Markdown; arms that would make it too long for a comment are counted."""
    winner = found["winner"]
    head = [f"### assay gate: **{found['gate']}**" + (f", `{winner['arm']}`" if winner else ""), ""]
    head += [f"Run `{found['run_id']}`, {_escaped(_policy_words(found))}."]
    if winner is not None:
        head.append(f"Winner: `{winner['arm']}`, {_escaped(winner['won_by'])}.")
    level = f"{100 * (1 - found['alpha']):.4g} % interval"
    head += ["", f"| arm | {_escaped(found['metric'])} | {level} | decision |", "|---|---|---|---|"]
    parts = [*(_row(found, row) for row in found["decisions"]), "\n", *(_details(row) for row in found["decisions"])]
    legend = "\n❔ not known; _in italics_: does not count, for the policy does not ask for it.\n"
    written, size = ["\n".join(head) + "\n"], len(legend)
    for number, part in enumerate(parts):
        size += len(part)
        if size > _MAX_CHARACTERS:
            written.append(f"\n… {len(parts) - number} more lines: `assay gate {found['run_id']} --json`\n")
            break
        written.append(part)
    return "".join([*written, legend])


def calibration_table(found: Calibration) -> RenderableType:
    """The gate's error rates, a row an effect."""
    columns = ("promote", "hold", "reject", "held_by_guardrails", "false_promote", "false_reject")
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in ("effect", *columns):
        table.add_column(name.replace("_", " "), justify="right")
    for row in found.rates:
        size = "none" if row.multiple is None else f"{row.effect:+.4g} ({row.multiple:+g} sde)"
        table.add_row(size, *(f"{100 * getattr(row, name):.1f} %" for name in columns))
    words = (
        f"{found.num_permutations} permutations (seed {found.seed}) of the labels of {len(found.arms)} arms within "
        f"rows; effects planted in '{found.planted}', in smallest detectable effects (sde) beyond what the policy wants "
        f"(harm: from no difference). none: any arm; false: any arm that is no better, or not worse. The plan's alpha "
        f"is {found.alpha:g}. The benchmark alone decides."
    )
    return Group(table, Text(words), Text(f"run {found.run_id}  seal {found.seal}", style="dim"))


def _row(found: Document, row: dict[str, Any]) -> str:
    estimate = found["estimates"].get(row["arm"], {})
    difference, interval = "–", "not testable"
    if estimate.get("estimate") is not None:
        difference = f"{estimate['estimate']:+.4g}"
    if estimate.get("ci_low") is not None:
        interval = f"[{estimate['ci_low']:+.4g}, {estimate['ci_high']:+.4g}]"
    return f"| `{row['arm']}` | {difference} | {interval} | **{row['decision']}** |\n"


def _details(row: dict[str, Any]) -> str:
    return "\n".join(_detail_lines(row)) + "\n"


def _detail_lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"<details><summary><code>{row['arm']}</code>: {row['decision']}</summary>\n"
    yield "| question | | evidence |\n|---|---|---|"
    for each in row["questions"]:
        name = each["question"] if each["counts"] else f"_{each['question']}_"
        yield f"| {name} | {_MARKS[each['answer']]} {each['answer']} | {_escaped(each['evidence'])} |"
    yield f"\nNext: {_escaped(row['next_step'])}\n\n</details>\n"


def _policy_words(found: Document) -> str:
    digest = found["policy"]["digest"]
    if found["policy"]["recorded"]:
        return f"decided by the recorded policy {digest}"
    return f"decided by ANOTHER policy than the recorded one, so nothing can be promoted: {digest}"


def _word(question: dict[str, Any]) -> str:
    return question["answer"] if question["counts"] else f"[{question['answer']}]"


def _escaped(words: str) -> str:
    """Words that a variant's error or a name may have brought, as plain text of one table cell: no markup, no mention."""
    for mark, plain in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u200b"), ("#", "#\u200b")):
        words = words.replace(mark, plain)
    for mark in "\\`*_[]|~!":
        words = words.replace(mark, f"\\{mark}")
    return " ".join(words.split())
