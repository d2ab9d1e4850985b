"""The gate's decisions and a calibration's error rates in the terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from assay.cluster.report.terminal import formatting
from assay.manifests.calibration import Calibration
from assay.manifests.decision import GateAnswer, GateQuestion


def text(answer: GateAnswer) -> str:
    """The gate's answer as plain text, for a terminal or a CI log."""
    lines = [f"{answer.gate}: run {answer.run_id}", policy_sentence(answer)]
    if answer.winner is not None:
        lines.append(f"winner: {answer.winner.arm}: {answer.winner.won_by}")
    for row in answer.decisions:
        lines.append(f"{row.arm}: {row.decision}")
        lines += [f"  {each.question:<16}{_answer(each):<10}{each.evidence}" for each in row.questions]
        lines.append(f"  {'next':<16}{row.next_step}")
    lines.append("[brackets]: shown for information, not required by the policy")
    return "\n".join(lines)


def policy_sentence(answer: GateAnswer) -> str:
    """Which policy decided, and that a policy other than the recorded one cannot promote."""
    digest = answer.policy.digest
    if answer.policy.is_recorded:
        return f"decided by the recorded policy {digest}"
    return f"decided by a policy OTHER than the recorded one, so nothing can be promoted: {digest}"


def calibration_table(calibration: Calibration) -> RenderableType:
    """The gate's error rates, one row per planted effect."""
    columns = ("promote", "hold", "reject", "held_by_guardrails", "false_promote", "false_reject")
    table = formatting.table()
    for name in ("effect", *columns):
        table.add_column(name.replace("_", " "), justify="right")
    for row in calibration.rates:
        size = "none" if row.multiple is None else f"{row.effect:+.4g} ({row.multiple:+g} MDE)"
        table.add_row(size, *(f"{100 * getattr(row, name):.1f} %" for name in columns))
    legend = (
        f"Each line is {calibration.num_permutations} simulations (seed {calibration.seed}): in every row of the dataset, "
        f"the scores of the {len(calibration.arms)} arms are shuffled among the arms, so that no arm is better; then the "
        f"effect is added to the scores of '{calibration.planted}'. Brackets give the effect in minimum detectable effects "
        "(MDE). Gains are counted from the smallest gain that the policy requires, losses from zero. promote, hold and "
        "reject are the decisions "
        f"about '{calibration.planted}' (effect none: about any arm). false promote: any arm was promoted that is not "
        "better; false reject: any was rejected that is not worse. The plan's alpha is "
        f"{calibration.alpha:g}. The decisions are those of the gate's benchmark check: comparisons and guardrails."
    )
    return Group(table, Text(legend), Text(f"run {calibration.run_id}  seal {calibration.seal}", style="dim"))


def _answer(question: GateQuestion) -> str:
    return question.answer if question.counts else f"[{question.answer}]"
