"""The ledger is read without Assay, by the lines that cluster/README.md shows, and only committed rows are seen."""

import re
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.run_scores import RunScores
from assay.evaluator.ledger.schema import SCHEMAS
from tests import builders
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


def readme_line(start: str) -> str:
    (line,) = [line for line in README.read_text().splitlines() if line.startswith(start)]
    return line


@pytest.mark.parametrize("start", ["duckdb.sql", "pandas.read_parquet"])
def test_the_readmes_line_reads_committed_scores_only(ledger, start):
    answer = eval(readme_line(start), {"duckdb": duckdb, "pandas": pd})
    frame = answer.df() if start == "duckdb.sql" else answer
    assert len(frame) == 4 * 200
    assert frame.run_id.nunique() == 1
    assert {"row_id", "label_class", "prediction_class", "segments", "scores", "dataset_digest"} <= set(frame.columns)
    scores = frame[frame.arm == "better"].scores.map(dict).str["accuracy"]
    assert len(scores) == 200
    assert scores.mean() == 1.0


def test_polars_reads_it_too(ledger):
    paths = pl.read_parquet(ledger / "v2/commits/*.parquet").filter(pl.col("table") == "scores")["path"]
    assert pl.read_parquet([ledger / "v2" / path for path in paths]).height == 4 * 200


def test_every_row_carries_its_lineage(ledger):
    (state,) = [state for state in reader.runs(pipeline.open_store(str(ledger))) if state.committed]
    run = reader.read_run(pipeline.open_store(str(ledger)), state.run_id)
    file = next((ledger / f"v2/data/scores/run_id={state.run_id}/better").glob("*.parquet"))
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
