"""The gate's answer as Markdown, for the comment on a pull request."""

from collections.abc import Iterator
from typing import Any

from assay.cluster.report.terminal.gate import policy_sentence

_MARKS = {"pass": "✅", "fail": "❌", "unknown": "❔"}
_MAX_CHARACTERS = 60_000
"""GitHub refuses comments of more than 65,536."""


def pull_request_comment(answer: dict[str, Any]) -> str:
    """The answer as GitHub's Markdown; arms that would make it too long for a comment are counted."""
    winner = answer["winner"]
    head = [f"### assay gate: **{answer['gate']}**" + (f", `{winner['arm']}`" if winner else ""), ""]
    head += [f"Run `{answer['run_id']}`, {_escaped(policy_sentence(answer))}."]
    if winner is not None:
        head.append(f"Winner: `{winner['arm']}`, {_escaped(winner['won_by'])}.")
    level = f"{100 * (1 - answer['alpha']):.4g} % interval"
    head += ["", f"| arm | {_escaped(answer['metric'])} | {level} | decision |", "|---|---|---|---|"]
    parts = [*(_row(answer, row) for row in answer["decisions"]), "\n", *(_details(row) for row in answer["decisions"])]
    legend = "\n❔ not known; _in italics_: does not count, for the policy does not ask for it.\n"
    written, size = ["\n".join(head) + "\n"], len(legend)
    for number, part in enumerate(parts):
        size += len(part)
        if size > _MAX_CHARACTERS:
            written.append(f"\n… {len(parts) - number} more lines: `assay gate {answer['run_id']} --json`\n")
            break
        written.append(part)
    return "".join([*written, legend])


def _row(answer: dict[str, Any], row: dict[str, Any]) -> str:
    estimate = answer["estimates"].get(row["arm"], {})
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


def _escaped(text: str) -> str:
    """Text that a variant's error or a name may have brought, as plain text of one table cell: no markup, no mention."""
    for mark, plain in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u200b"), ("#", "#\u200b")):
        text = text.replace(mark, plain)
    for mark in "\\`*_[]|~!":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
