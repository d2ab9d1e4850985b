"""The gate's answer in the terminal, and the error rates that a calibration found."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.calibration import Calibration


def text(answer: dict[str, Any]) -> str:
    """The answer for a terminal or a log of CI."""
    lines = [f"{answer['gate']}: run {answer['run_id']}", policy_sentence(answer)]
    if answer["winner"] is not None:
        lines.append(f"winner: {answer['winner']['arm']}: {answer['winner']['won_by']}")
    for row in answer["decisions"]:
        lines.append(f"{row['arm']}: {row['decision']}")
        lines += [f"  {each['question']:<16}{_word(each):<10}{each['evidence']}" for each in row["questions"]]
        lines.append(f"  {'next':<16}{row['next_step']}")
    lines.append("in brackets: does not count, for the policy does not ask for it")
    return "\n".join(lines)


def policy_sentence(answer: dict[str, Any]) -> str:
    """Which policy decided, and what follows if it is not the recorded one."""
    digest = answer["policy"]["digest"]
    if answer["policy"]["recorded"]:
        return f"decided by the recorded policy {digest}"
    return f"decided by ANOTHER policy than the recorded one, so nothing can be promoted: {digest}"


def calibration_table(calibration: Calibration) -> RenderableType:
    """The gate's error rates, a row an effect."""
    columns = ("promote", "hold", "reject", "held_by_guardrails", "false_promote", "false_reject")
    table = formatting.table()
    for name in ("effect", *columns):
        table.add_column(name.replace("_", " "), justify="right")
    for row in calibration.rates:
        size = "none" if row.multiple is None else f"{row.effect:+.4g} ({row.multiple:+g} sde)"
        table.add_row(size, *(f"{100 * getattr(row, name):.1f} %" for name in columns))
    legend = (
        f"{calibration.num_permutations} permutations (seed {calibration.seed}) of the labels of "
        f"{len(calibration.arms)} arms within rows; effects planted in '{calibration.planted}', in smallest detectable "
        f"effects (sde) beyond what the policy wants (harm: from no difference). none: any arm; false: any arm that is "
        f"no better, or not worse. The plan's alpha is {calibration.alpha:g}. The benchmark alone decides."
    )
    return Group(table, Text(legend), Text(f"run {calibration.run_id}  seal {calibration.seal}", style="dim"))


def _word(question: dict[str, Any]) -> str:
    return question["answer"] if question["counts"] else f"[{question['answer']}]"
