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
    lines.append("[brackets]: shown for information, neither failed nor required")
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
        f"the scores of {', '.join(calibration.arms)} are shuffled among these arms, so that none is better; then the "
        f"scores of '{calibration.planted}' are improved by the effect (a negative effect: made worse). MDE is the minimum "
        f"detectable effect: +k MDE means {_planted(calibration)}, -k MDE a loss of k MDE. The columns "
        f"promote, hold and reject count decisions about '{calibration.planted}'; in the line without effect, promote and "
        "reject count simulations in which any arm was promoted or rejected, and hold those in which every arm was held. "
        "false promote: any arm was promoted that is not better; false reject: any was rejected that is not worse. The "
        f"plan's alpha is {calibration.alpha:g}. The decisions are those of the gate's benchmark check: comparisons and "
        "guardrails."
    )
    left_out = [Text(f"left out: {arm} ({reason})") for arm, reason in calibration.left_out.items()]
    return Group(
        table, Text(legend), *left_out, Text(f"run {calibration.run_id}  seal {calibration.seal}", style="dim")
    )


def _planted(calibration: Calibration) -> str:
    """What a planted effect of +k MDE is: it is added to the improvement that the policy requires."""
    bound = next((row.effect for row in calibration.rates if row.multiple == 0), 0.0)
    if bound > 0:
        return "the plan's minimum_effect plus k MDE"
    return "the loss that the plan's margin allows plus a gain of k MDE" if bound < 0 else "a gain of k MDE"


def _answer(question: GateQuestion) -> str:
    return question.answer if question.counts else f"[{question.answer}]"
