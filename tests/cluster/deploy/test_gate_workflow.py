"""The example workflow is valid YAML, its commands and options exist, and it exits with the gate's code."""

import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from assay.cluster.cli import main

WORKFLOW = Path(__file__).parents[3] / "cluster" / "deploy" / "github-actions-gate.yaml"


def steps() -> list[dict]:
    return yaml.safe_load(WORKFLOW.read_text())["jobs"]["gate"]["steps"]


def commands() -> list[list[str]]:
    """The `assay` commands of the workflow, without the shell code around them."""
    lines = [line for step in steps() for line in step.get("run", "").splitlines()]
    return [shlex.split(line.partition("||")[0])[1:] for line in lines if line.strip().startswith("assay ")]


def parsed(arguments: list[str]) -> str:
    """The command that the arguments call, after all of them were parsed."""
    context = typer.main.get_command(main.app).make_context("assay", list(arguments))
    command, rest = context.command, [*context._protected_args, *context.args]
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
    return context.command_path


def test_its_commands_and_options_are_there():
    assert [parsed(each) for each in commands()] == ["assay run", "assay gate review"]


def test_an_option_that_there_is_not_would_be_seen():
    with pytest.raises(Exception, match="No such option"):
        parsed(["gate", "experiment.yaml", "--comment"])


def test_the_comment_is_what_the_gate_wrote_and_the_job_ends_with_its_code():
    decide, comment, answer = steps()[-3:]
    written = next(each for each in commands() if each[0] == "gate")
    assert f"--body-file {written[written.index('--markdown') + 1]}" in comment["run"]
    assert answer["run"] == f"exit ${{{{ steps.{decide['id']}.outputs.code }}}}"
    assert "if" not in answer
