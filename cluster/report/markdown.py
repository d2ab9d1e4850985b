"""The gate's decisions as Markdown, for a comment on a pull request."""

from collections.abc import Iterator

from assay.cluster.report.terminal.gate import policy_sentence
from assay.manifests.decision import Decision, GateAnswer

_MARKS = {"pass": "✅", "fail": "❌", "unknown": "❔", "info": "ℹ️"}
_MAX_CHARACTERS = 60_000
"""The length limit of a comment. GitHub rejects comments of more than 65,536 characters."""


def pull_request_comment(answer: GateAnswer) -> str:
    """Renders the gate's answer as a GitHub comment. Lines beyond GitHub's length limit are counted, not shown."""
    winner = answer.winner
    head = [f"### assay gate: **{answer.gate}**" + (f", `{winner.arm}`" if winner else ""), ""]
    head += [f"Run `{answer.run_id}`, {_escaped(policy_sentence(answer))}."]
    if winner is not None:
        head.append(f"Winner: `{winner.arm}`, {_escaped(winner.won_by)}.")
    level = f"{100 * (1 - answer.alpha):.4g} % interval"
    head += ["", f"| arm | {_escaped(answer.metric)} | {level} | decision |", "|---|---|---|---|"]
    parts = [*(_row(answer, row) for row in answer.decisions), "\n", *(_details(row) for row in answer.decisions)]
    legend = "\n❔ unknown; _italics_: shown for information, neither failed nor required.\n"
    lines, size = ["\n".join(head) + "\n"], len(legend)
    for number, part in enumerate(parts):
        size += len(part)
        if size > _MAX_CHARACTERS:
            lines.append(f"\n… {len(parts) - number} more lines: `assay gate {answer.run_id} --json`\n")
            break
        lines.append(part)
    return "".join([*lines, legend])


def _row(answer: GateAnswer, row: Decision) -> str:
    compared = next((each for each in answer.comparisons if each.arm == row.arm), None)
    difference, interval = "–", "not testable"
    if compared is not None and compared.estimate is not None:
        difference = f"{compared.estimate:+.4g}"
    if compared is not None and compared.ci_low is not None:
        interval = f"[{compared.ci_low:+.4g}, {compared.ci_high:+.4g}]"
    return f"| `{row.arm}` | {difference} | {interval} | **{row.decision}** |\n"


def _details(row: Decision) -> str:
    return "\n".join(_detail_lines(row)) + "\n"


def _detail_lines(row: Decision) -> Iterator[str]:
    yield f"<details><summary><code>{row.arm}</code>: {row.decision}</summary>\n"
    yield "| question | | evidence |\n|---|---|---|"
    for each in row.questions:
        name = each.question if each.counts else f"_{each.question}_"
        yield f"| {name} | {_MARKS[each.answer]} {each.answer} | {_escaped(each.evidence)} |"
    yield f"\nNext: {_escaped(row.next_step)}\n\n</details>\n"


def _escaped(text: str) -> str:
    """Escapes text for one table cell, so that a variant's error or a name cannot add markup or mentions."""
    for mark, replacement in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u200b"), ("#", "#\u200b")):
        text = text.replace(mark, replacement)
    for mark in "\\`*_[]|~!":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
