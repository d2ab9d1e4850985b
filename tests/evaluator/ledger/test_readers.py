"""The ledger is read without Assay, by the lines that cluster/README.md shows, and only committed rows are seen."""

import ast
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.run_scores import RunScores
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.storage import open_store
from assay.manifests import Contract
from tests import builders
from tests.readme import readme
from tests.score_tables import score_tables

README = Path(__file__).parents[3] / "cluster" / "README.md"


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> Path:
    """A ledger with one committed run of 4 arms x 200 rows, and one that stopped half way."""
    for suite in (builders.SUITE, {**builders.SUITE, "seed": 1}):
        prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, suite=suite)))
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    (tmp_path / f"ledger/v2/commits/{prepared.run.run_id}.parquet").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ledger"


def values_of_readme() -> list[Any]:
    """The values of the expressions in the README's block, in order."""
    (block,) = [each for each in readme(README).blocks if "read_parquet" in each.text]
    names: dict[str, Any] = {}
    values = []
    for statement in ast.parse(block.text).body:
        if isinstance(statement, ast.Expr):
            values.append(eval(ast.unparse(statement), names))
        else:
            exec(ast.unparse(statement), names)
    return values


def test_the_readmes_lines_read_committed_scores_only_and_agree(ledger):
    by_duckdb, by_polars, by_pandas, by_pyarrow, _ = values_of_readme()
    found = [
        {(run, arm): value for run, arm, value in by_duckdb.fetchall()},
        {(row["run_id"], row["arm"]): row["accuracy"] for row in by_polars.to_dicts()},
        by_pandas.to_dict(),
        {(row["run_id"], row["arm"]): row["accuracy_mean"] for row in by_pyarrow.to_pylist()},
    ]
    ((run_id, _), *_) = found[0]
    expected = {"control": 0.82, "better": 1.0, "worse": 0.54, "again": 0.82}  # of 200 rows; the stopped run has none
    for each in found:
        assert each == pytest.approx({(run_id, arm): value for arm, value in expected.items()})


REGRESSION = """
import numpy as np

def first(features, *, shift=0.0):
    return features["x"] * 2 + shift

def some(features):
    values = features["x"] * 2
    return {"output": values, "status": np.where(features["x"] > 0.9, "truncated", "ok").tolist()}
"""


@pytest.fixture(scope="module")
def unlike(tmp_path_factory) -> Path:
    """A ledger with runs of integer classes, named classes and numbers, which have nothing in common."""
    folder = tmp_path_factory.mktemp("unlike")
    ledger = folder / "ledger"
    classes = {
        **builders.SUITE,
        "metrics": [
            *builders.SUITE["metrics"],
            {"name": "recall", "measure": "recall", "threshold": 0.4},
            {"name": "caught", "measure": "recall", "operating_point": {"false_positive_rate": 0.1}},
        ],
        "plan": {
            **builders.SUITE["plan"],
            "guardrails": [
                {"kind": "metric", "metric": "log_loss", "margin": 0.5},
                {"kind": "latency", "quantity": "batch_p50", "max_ratio": 100.0},
                {"kind": "group_gap", "metric": "accuracy", "column": "group", "margin": 0.9},
            ],
        },
    }
    arms = {**builders.ARMS, "broken": builders.variant("raises", above=0.5)}
    run(builders.write_experiment(folder / "classes", suite=classes, arms=arms, ledger=str(ledger)))
    race = {"race": {"first_units": 8, "margin": 0.0}}
    run(builders.write_experiment(folder / "race", num_rows=3000, name="race", ledger=str(ledger), **race))
    run(write_named(folder / "named", ledger=str(ledger)))
    run(write_numbers(folder / "numbers", ledger=str(ledger)))
    return ledger


def run(experiment: Path) -> None:
    sys.modules.pop("variants_under_test", None)
    pipeline.run(pipeline.prepare(str(experiment)), in_process=True, on_progress=lambda arm, units: None)


def frozen(folder: Path, columns: list[dict], rows: list[dict]) -> None:
    """Freezes rows as small@v1 where `builders.write_experiment` expects them."""
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    contract = Contract.model_validate_json(json.dumps({"kind": "Contract", "version": 1, "columns": columns}))
    freeze([folder / "rows.jsonl"], contract=contract, reference="small@v1", store=open_store(str(folder / "datasets")))


def write_named(folder: Path, **options: Any) -> Path:
    """Named classes, no ids, no segments; one metric, in two repeats."""
    columns = [
        {"name": "x", "role": "feature", "type": "float64"},
        {"name": "y", "role": "label", "type": "string", "classes": ["low", "high"]},
    ]
    frozen(folder, columns, [{"x": row["x"], "y": "high" if row["y"] else "low"} for row in builders.rows(100)])
    plan = {"kind": "Plan", "version": 1, "metric": "hits", "scale": "binary", "control": "control"}
    suite = {**builders.SUITE, "repeats": 2, "metrics": [{"name": "hits", "measure": "accuracy"}], "plan": plan}
    arms = {name: builders.ARMS[name] for name in ("control", "better")}
    return builders.write_experiment(folder, suite=suite, arms=arms, name="named", **options)


def write_numbers(folder: Path, **options: Any) -> Path:
    """A regression in which an arm leaves rows unanswered."""
    columns = [
        {"name": "x", "role": "feature", "type": "float64"},
        {"name": "y", "role": "label", "type": "float64"},
        {"name": "day", "role": "cluster", "type": "int64"},
    ]
    rows = [{"x": row["x"], "y": 2 * row["x"] + 0.1, "day": place % 9} for place, row in enumerate(builders.rows(150))]
    frozen(folder, columns, rows)
    plan = {"kind": "Plan", "version": 1, "metric": "error", "control": "control", "direction": "lower"}
    plan |= {"missing": "listwise", "columns": {"cluster": "day"}}
    suite = {**builders.SUITE, "metrics": [{"name": "error", "measure": "mae"}], "plan": plan}
    variant = builders.variant() | {"output": "values"}
    arms = {
        "control": variant | {"entrypoint": "doubled_numbers:first"},
        "shifted": variant | {"entrypoint": "doubled_numbers:first", "parameters": {"shift": 0.05}},
        "some": variant | {"entrypoint": "doubled_numbers:some"},
    }
    (folder / "doubled_numbers.py").write_text(REGRESSION)
    return builders.write_experiment(folder, suite=suite, arms=arms, name="numbers", **options)


def plain(value: Any) -> Any:
    """A value as every reader means it: maps as sorted pairs, no NaN, no NumPy."""
    if isinstance(value, np.ndarray | list | tuple):
        items = [plain(each) for each in value]
        pairs = [item for item in items if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)]
        return sorted(items) if items and len(pairs) == len(items) else items
    if isinstance(value, dict):
        if set(value) == {"key", "value"}:
            return [value["key"], plain(value["value"])]
        return sorted([name, plain(each)] for name, each in value.items())
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_reader_reads_every_table_over_unlike_runs_and_they_agree(unlike, table):
    record = pd.read_parquet(unlike / "v2" / "commits")
    files = [str(unlike / "v2" / path) for path in record.query("table == @table").path]
    assert len(files) > 1 or table == "latency"
    found = {
        "pyarrow": pa.dataset.dataset(files).to_table().to_pylist(),
        "polars": pl.read_parquet(files).to_dicts(),
        "pandas": pd.read_parquet(files).to_dict("records"),
        "duckdb": duckdb.read_parquet(files).to_arrow_table().to_pylist(),
    }
    expected = [{name: plain(value) for name, value in row.items()} for row in found.pop("pyarrow")]
    assert len(expected) == record.query("table == @table").num_rows.sum()
    assert [*expected[0]] == SCHEMAS[table].names
    for reader_name, rows in found.items():
        assert [{name: plain(value) for name, value in row.items()} for row in rows] == expected, reader_name


def test_labels_predictions_and_rows_without_an_answer_have_their_places(unlike):
    scores = duckdb.read_parquet([str(path) for path in (unlike / "v2/data/scores").rglob("*.parquet")])
    kinds = duckdb.sql(
        "SELECT DISTINCT split_part(run_id, '-', 1) AS run, label_class, label_value IS NOT NULL AS is_number, "
        "prediction_class IS NOT NULL AS is_class, prediction_value IS NOT NULL AS is_value, status FROM scores "
        "WHERE label_class IS NOT NULL OR row_index < 1"
    ).fetchall()
    assert ("small", "1", True, True, False, "ok") in kinds
    assert ("named", "high", False, True, False, "ok") in kinds
    assert ("numbers", None, True, False, True, "ok") in kinds
    unanswered = duckdb.sql(
        "SELECT status, cardinality(scores), prediction_value, count(*) FROM scores WHERE status != 'ok' GROUP BY ALL"
    ).fetchall()
    num_above = sum(row["x"] > 0.9 for row in builders.rows(150))
    assert unanswered == [("truncated", 0, None, num_above)]
    assert scores.filter("prediction_text IS NOT NULL").fetchall() == []


def test_every_row_carries_its_lineage(ledger):
    (state,) = [state for state in reader.runs(pipeline.open_store(str(ledger))) if state.committed]
    run = reader.read_run(pipeline.open_store(str(ledger)), state.run_id)
    file = next((ledger / f"v2/data/scores/{state.run_id}/better").glob("*.parquet"))
    table = pq.ParquetFile(file).read()
    for name in ("dataset_digest", "suite_digest", "plan_digest"):
        assert set(table[name].to_pylist()) == {getattr(run, name)}
    assert set(table["variant_digest"].to_pylist()) == {run.variant_digests["better"]}
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", table["environment_digest"][0].as_py())


def test_rows_of_a_dataset_without_ids_are_told_by_their_index(tmp_path):
    builders.freeze_rows(tmp_path, has_ids=False)
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    names = next(score_tables(prepared.store, files, "better")).column_names
    assert "row_index" in names
    assert "row_id" not in names
    scores = RunScores(
        prepared.store, prepared.run, {"better": reader.score_files(files, "better")}, columns=["segment_group"]
    )
    assert scores.rows().column_names == ["row_index", "segment_group"]


def test_a_changed_file_is_damage_and_not_data(ledger):
    store = pipeline.open_store(str(ledger))
    (state,) = [state for state in reader.runs(store) if state.committed]
    files = reader.committed_files(store, state.run_id)
    path = ledger / reader.score_files(files, "better")[0].key
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamageError, match="was changed"):
        list(score_tables(store, files, "better"))


def test_a_table_has_the_columns_of_its_schema_whatever_its_rows_have(tmp_path):
    store = pipeline.open_store(str(tmp_path))
    event = {"at": "now", "kind": "resumed", "arm": "", "unit": -1, "message": "m"}
    file = writer.write_table(store, "events", [event], run_id="r")
    assert reader.read_table(store, [file], "events").schema == SCHEMAS["events"]
    assert reader.read_table(store, [], "events").schema == SCHEMAS["events"]
    with pytest.raises(ValueError, match="the table 'events' has no column severity"):
        writer.write_table(store, "events", [{**event, "severity": "high"}], run_id="r")
    with pytest.raises(pa.ArrowInvalid, match="message"):
        writer.write_table(store, "events", [{**event, "message": None}], run_id="r")
