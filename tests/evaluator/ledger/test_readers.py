"""The ledger is read without Assay, by the lines that cluster/README.md shows, and only committed rows are seen."""

import re
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.run_scores import RunScores
from tests import builders

README = Path(__file__).parents[3] / "cluster" / "README.md"


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> Path:
    """A ledger with one committed run of 4 arms x 200 rows, and one that stopped half way."""
    for suite in (builders.SUITE, {**builders.SUITE, "seed": 1}):
        prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, suite=suite)))
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    (tmp_path / f"ledger/v1/commits/{prepared.run.run_id}.parquet").unlink()
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
    assert frame.groupby("arm", observed=True).score_accuracy.mean().to_dict()["better"] == 1.0
    assert {"row_id", "label", "prediction", "segment_group", "score_log_loss", "dataset_digest"} <= set(frame.columns)


def test_polars_reads_it_too(ledger):
    paths = pl.read_parquet(ledger / "v1/commits/*.parquet").filter(pl.col("table") == "scores")["path"]
    assert pl.read_parquet([ledger / "v1" / path for path in paths]).height == 4 * 200


def test_every_row_carries_its_lineage(ledger):
    (state,) = [state for state in reader.runs(pipeline.open_store(str(ledger))) if state.committed]
    run = reader.read_run(pipeline.open_store(str(ledger)), state.run_id)
    file = next((ledger / f"v1/data/scores/run_id={state.run_id}/better").glob("*.parquet"))
    table = pq.ParquetFile(file).read()
    for name in ("dataset_digest", "suite_digest", "plan_digest"):
        assert set(table[name].to_pylist()) == {getattr(run, name)}
    assert set(table["variant_digest"].to_pylist()) == {run.variant_digests["better"]}
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", table["environment_digest"][0].as_py())


def test_only_segments_may_be_null_and_readers_know(ledger):
    (path, *_) = (ledger / "v1/data/scores").rglob("*.parquet")
    schema = pq.read_schema(path)
    assert [field.name for field in schema if field.nullable] == ["segment_group"]


def test_rows_of_a_dataset_without_ids_are_told_by_their_index(tmp_path):
    builders.freeze_rows(tmp_path, has_ids=False)
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    names = next(reader.score_tables(prepared.store, files, "better")).column_names
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
        list(reader.score_tables(store, files, "better"))


def test_a_table_has_the_columns_of_every_row_not_of_the_first_one_only(tmp_path):
    store = pipeline.open_store(str(tmp_path))
    file = writer.write_table(store, "arms", [{"arm": "a"}, {"arm": "b", "num_rows": 3}], run_id="r")
    rows = reader.read_table(store, [file], "arms").to_pylist()
    assert rows == [{"run_id": "r", "arm": "a", "num_rows": None}, {"run_id": "r", "arm": "b", "num_rows": 3}]
