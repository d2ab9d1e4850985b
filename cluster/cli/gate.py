"""`assay gate`: decide which arms to promote, as an exit code, and calibrate the gate's error rates."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from assay.cluster.cli import standard_output
from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, read_manifest, run_and_ledger

EXIT_CODES = {"promote": 0, "hold": 3, "reject": 4}


class _Gate(TyperGroup):
    """`assay gate RUN` is `assay gate review RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["review", *args]
        return super().parse_args(ctx, args)


app = standard_output.Verbs(
    cls=_Gate,
    no_args_is_help=True,
    help="Decide which arm to ship: `assay gate RUN`; its options are those of `assay gate review`. Exits with 0 promote, "
    "3 hold, 4 reject.",
)


@app.command()
def review(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Decide by the policy in this file. A policy other than the recorded one never promotes."),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(
            help="Decide about this arm only. Default: all arms; the answer is promote if any arm is promoted."
        ),
    ] = None,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Append the decisions to the ledger's log; a decision that is already there is not appended again.",
        ),
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the decisions to this file as Markdown, for a pull request comment.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide about a committed run; `assay gate RUN` is short for this.

    Takes into account everything recorded by now, such as later verifications and dataset findings.

    Reads all rows of the run and computes its tables again before it answers promote: a run that contradicts itself
    promotes nothing.
    """
    from assay.cluster.commit import gate_review
    from assay.cluster.commit.gate_answer import gate_answer
    from assay.cluster.verify.contradictions import check_run
    from assay.evaluator.ledger.committed_run import CommittedRun
    from assay.evaluator.ledger.opening import open_ledger
    from assay.manifests import Policy
    from assay.manifests.errors import InvalidInput, did_you_mean

    if record and policy is not None:
        raise InvalidInput("decisions by another policy cannot be recorded", field="--record", remedy="remove --policy")
    run_id, uri = run_and_ledger(run, ledger)
    committed = CommittedRun(open_ledger(uri), run_id)
    review = gate_review.review_run(committed, policy=None if policy is None else read_manifest(policy, Policy))
    answer = gate_answer(review, arm=arm)
    if answer.gate == "promote":
        check_run(committed)
    if not answer.decisions:
        arms = [each.arm for each in review.decisions]
        raise InvalidInput(
            "the run has no decision about this arm", place=run_id, value=arm, remedy=did_you_mean(arm or "", arms)
        )
    if record:
        from assay.evaluator.ledger import version_log

        version_log.record_decisions(committed.store, run_id, [each.model_dump() for each in answer.decisions])
    if markdown is not None:
        from assay.cluster.report.markdown import pull_request_comment
        from assay.evaluator.storage.file_errors import described

        try:
            markdown.write_text(pull_request_comment(answer), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(
                f"cannot be written: {described(error)}", place=str(markdown), field="--markdown"
            ) from None
    if as_json:
        print_json(answer.plain())
    else:
        from assay.cluster.report.terminal import gate as terminal

        standard_output.say(terminal.text(answer))
    raise typer.Exit(EXIT_CODES[answer.gate])


@app.command()
def calibrate(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    num_permutations: Annotated[
        int,
        typer.Option(
            "--permutations",
            min=1,
            help="Number of permutations per effect size; each size is one row of the printed table.",
        ),
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the permutations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Estimate how often the gate would decide wrongly on this run's scores.

    Permutes arm labels within rows, plants effects, and counts the decisions. The ledger keeps the result.
    """
    from assay.cluster.commit import gate_calibration
    from assay.evaluator.ledger.committed_run import CommittedRun
    from assay.evaluator.ledger.opening import open_ledger

    run_id, uri = run_and_ledger(run, ledger)
    committed = CommittedRun(open_ledger(uri), run_id)
    calibration = gate_calibration.calibrate(committed, num_permutations=num_permutations, seed=seed)
    if as_json:
        print_json(calibration.model_dump(mode="json"))
        return

    from assay.cluster.report.terminal import gate as terminal

    standard_output.console().print(terminal.calibration_table(calibration))
