"""Standard output has the answer and nothing else, whatever else is printed in the process; tested with real processes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import standard_output
from assay.cluster.cli.main import main
from tests import builders

NOISY = """
import atexit, ctypes, logging, os, sys, warnings
from sys import stdout

libc = ctypes.CDLL(None)

said = set()

def loud(what):
    if what in said:
        return
    said.add(what)
    print("print in", what)
    stdout.write(f"kept stdout in {what}\\n")
    sys.__stdout__.write(f"first stdout in {what}\\n")
    os.write(1, f"os.write in {what}\\n".encode())
    libc.puts(f"puts in {what}".encode())
    os.system(f"echo child in {what}")
    warnings.warn(f"warning in {what}")
    logging.basicConfig(stream=sys.stdout)
    logging.warning("log in %s", what)

loud("import")
atexit.register(loud, "exit")

def load(cut):
    loud("load")
    def answer(batch):
        loud("answer")
        return [float(x > cut) for x in batch["x"]]
    return answer

def scorer(predictions, probabilities, labels):
    loud("scorer")
    return predictions == labels
"""

EVERYWHERE = [
    f"{how} in {where}"
    for how in ("print", "kept stdout", "first stdout", "os.write", "puts", "child", "warning", "log")
    for where in ("import", "load", "answer", "scorer", "exit")
]


def assay(*arguments: str, folder: Path, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay.cluster.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)


def noisy_experiment(folder: Path) -> None:
    (folder / "noisy.py").write_text(NOISY)
    variant = {**builders.variant(), "entrypoint": "noisy:load", "load": True}
    arms = {"control": {**variant, "parameters": {"cut": 0.4}}, "better": {**variant, "parameters": {"cut": 0.5}}}
    metrics = [
        {"name": "accuracy", "measure": "accuracy"},
        {"name": "own", "measure": "custom", "scorer": "noisy:scorer", "direction": "higher"},
    ]
    plan = {**builders.SUITE["plan"], "guardrails": []}
    builders.write_experiment(
        folder, arms=arms, num_rows=64, suite={**builders.SUITE, "metrics": metrics, "plan": plan}
    )


def test_whatever_user_code_prints_in_python_or_c_the_answer_is_one_json_document(tmp_path):
    noisy_experiment(tmp_path)
    answer = assay("run", "experiment.yaml", "--in-process", "--json", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["gate"] == "hold"  # the module keeps a set, which the arms share in one process
    assert [each for each in EVERYWHERE if each not in answer.stderr] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("freeze", "no.csv", "--contract", "no.yaml", "--as", "a@v1"), 2), (("ledger", "ls", "--ledger", "a.txt"), 1)],
)
def test_an_error_leaves_standard_output_empty(tmp_path, arguments, code):
    (tmp_path / "a.txt").write_text("a file, no ledger")
    answer = assay(*arguments, "--json", folder=tmp_path)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert answer.stderr.startswith("error: ")


@pytest.mark.extended
def test_help_is_an_answer(tmp_path):
    answer = assay("ledger", "ls", "--help", folder=tmp_path)
    assert "List the runs of a ledger." in answer.stdout
    assert answer.stderr == ""


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        (">/dev/full", 1),
        pytest.param(">&-", 0, marks=pytest.mark.extended),
        pytest.param("2>&-", 0, marks=pytest.mark.extended),
        pytest.param("<&- >&- 2>&-", 0, marks=pytest.mark.extended),
    ],
)
def test_a_closed_or_full_standard_output_breaks_nothing(tmp_path, redirection, code):
    command = f"{sys.executable} -m assay.cluster.cli schema Policy {redirection}"
    redirected = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert redirected.returncode == code
    assert redirected.stdout[:1] == ("{" if redirection == "2>&-" else "")
    assert "Traceback" not in redirected.stderr
    assert ("No space left on device" in redirected.stderr) == (redirection == ">/dev/full")


@pytest.mark.extended
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    command = f"{sys.executable} -m assay.cluster.cli schema Experiment | head -1"
    answer = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.stderr) == ("{\n", "")


def test_control_characters_in_an_answer_do_not_reach_the_terminal():
    app = standard_output.Verbs()
    odd = "\x1b[2J \u202e end"

    @app.command()
    def show() -> None:
        standard_output.say(odd)
        table = Table()
        table.add_column(odd)
        table.add_row(odd, style="red")
        standard_output.console().print(table, Text(odd), odd)

    shown = CliRunner().invoke(app, [], color=True).stdout
    assert shown.count(r"\x1b[2J \u202e end") == 5
    assert "\u202e" not in shown
    assert "\x1b" not in shown


def test_every_command_prints_its_answer_through_the_one_door():
    folder = Path(__file__).parents[2] / "cluster" / "cli"
    sources = {path.name: path.read_text() for path in folder.glob("*.py")}
    del sources["standard_output.py"]
    for name, source in sources.items():
        assert not re.search(r"typer\.echo\((?!.*err=True)|(?<!\.)\bprint\(|\bConsole\(\)|typer\.Typer\(", source), name


@pytest.mark.ray
def test_a_worker_that_dies_on_ray_leaves_the_answer_alone(tmp_path):
    arms = {**builders.ARMS, "deadly": builders.variant("kills_process")}
    builders.write_experiment(tmp_path, arms=arms, resources={"max_attempts": 1, "max_slots": 1})
    code = (tmp_path / "variants_under_test.py").read_text()
    (tmp_path / "variants_under_test.py").write_text(code + "\nprint('imported')\nos.write(1, b'imported')\n")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    answer = assay("run", "experiment.yaml", "--json", folder=tmp_path, env=environment)
    assert answer.returncode == 0, answer.stderr
    statuses = {arm["arm"]: arm["status"] for arm in json.loads(answer.stdout)["arms"]}
    assert statuses["deadly"] == "failed"
    assert statuses["control"] == "complete"


def test_an_error_that_is_not_assays_is_one_message_and_its_traceback_is_kept(monkeypatch, capsys):
    def fails(*arguments, **options):
        raise KeyError("\x1b")

    monkeypatch.setattr(pipeline, "prepare", fails)
    monkeypatch.setattr(sys, "argv", ["assay", "run", "experiment.yaml", "--json"])
    with pytest.raises(SystemExit, match="1"):
        main()
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(r"error: KeyError: '\\x1b' \[.*\]; this is a defect of Assay: please report it", err)
    kept = Path(err.rpartition(" ")[2].strip())
    assert "Traceback" in kept.read_text()
    kept.unlink()
