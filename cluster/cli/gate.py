"""The gate's verbs: its answer with an exit code, question by question."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from assay.cluster.cli.options import AsJson, LedgerAt, RunOrExperiment, print_json, read_manifest, run_and_ledger

EXIT_CODES = {"promote": 0, "hold": 3, "reject": 4}


class _Gate(TyperGroup):
    """`assay gate RUN` is `assay gate review RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["review", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Gate, no_args_is_help=True, help="Answer with an exit code: 0 promote, 3 hold, 4 reject.")


@app.command()
def review(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Decide by this policy's file. Unless it is the recorded one, nothing is promoted."),
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Ask about one arm; default: promote if any arm is.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Append the decisions to the ledger's log; each is recorded once.")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Also write the answer to this file, as Markdown for a pull request.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What `assay gate RUN` does: the decisions by what the ledger knows now, and why, question by question."""
    from assay.cluster.commit import gate_review
    from assay.cluster.commit.gate_answer import gate_answer
    from assay.evaluator.storage import open_store
    from assay.manifests import Policy
    from assay.manifests.errors import InvalidInput, did_you_mean

    if record and policy is not None:
        raise InvalidInput("what another policy decides is not recorded", field="--record", remedy="leave --policy out")
    run_id, uri = run_and_ledger(run, ledger)
    store = open_store(uri)
    reviewed = gate_review.review_run(store, run_id, policy=None if policy is None else read_manifest(policy, Policy))
    answer = gate_answer(reviewed, arm=arm)
    if not answer["decisions"]:
        known = [each.arm for each in reviewed.decisions]
        raise InvalidInput("no decision about this arm", place=run_id, value=arm, remedy=did_you_mean(arm or "", known))
    if record:
        from assay.evaluator.ledger import version_log

        version_log.record_decisions(store, run_id, answer["decisions"])
    if markdown is not None:
        from assay.cluster.report.markdown import pull_request_comment

        try:
            markdown.write_text(pull_request_comment(answer), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(
                f"cannot be written: {error.strerror}", place=str(markdown), field="--markdown"
            ) from None
    if as_json:
        print_json(answer)
    else:
        from assay.cluster.report.terminal import gate as terminal

        typer.echo(terminal.text(answer))
    raise typer.Exit(EXIT_CODES[answer["gate"]])


@app.command()
def calibrate(
    run: RunOrExperiment,
    ledger: LedgerAt = None,
    num_permutations: Annotated[int, typer.Option("--permutations", min=1, help="Replicates of each row.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the permutations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """How often the gate would decide wrongly on this run's scores: labels permuted, effects planted. The ledger keeps it."""
    from assay.cluster.commit import gate_calibration
    from assay.evaluator.storage import open_store

    run_id, uri = run_and_ledger(run, ledger)
    found = gate_calibration.calibrate(open_store(uri), run_id, num_permutations=num_permutations, seed=seed)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    from rich.console import Console

    from assay.cluster.report.terminal import gate as terminal

    Console().print(terminal.calibration_table(found))
