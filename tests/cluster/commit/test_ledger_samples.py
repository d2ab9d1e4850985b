"""Samples read from the ledger have the same rows for every arm, or reading them fails."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.cluster.commit.ledger_samples import columns_of, samples_of
from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.run_scores import RunScores
from tests import builders
from tests.score_tables import score_tables


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pipeline.Prepared:
    ready = pipeline.prepare(str(builders.write_experiment(tmp_path_factory.mktemp("run"))))
    pipeline.run(ready, in_process=True, on_progress=lambda arm, units: None)
    return ready


@pytest.fixture
def files(prepared) -> list[LedgerFile]:
    return list(reader.committed_files(prepared.store, prepared.run.run_id))


def samples(prepared, files, metric=None):
    metric = metric or prepared.run.experiment.suite.primary
    units = {arm.name: reader.score_files(files, arm.name) for arm in prepared.run.experiment.arms}
    plan = prepared.run.experiment.suite.plan
    scores = RunScores(prepared.store, prepared.run, units, columns=columns_of(metric, columns=plan.columns))
    return samples_of(scores, metric, plan, arms=[*units])


def changed(prepared, file, **columns) -> LedgerFile:
    """Stores a copy of a unit's file, with other values in some columns, as another unit of the same arm."""
    table = pq.read_table(pa.BufferReader(prepared.store.get(file.key)))
    for name, values in columns.items():
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type)
        )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue()
    sha256 = fingerprint.sha256_digest(content)
    key = file.key.replace("/u", f"/u{sha256[-8:]}")
    prepared.store.put_if_absent(key, content)
    return replace(file, key=key, num_rows=len(table), size_bytes=content.size, sha256=sha256)


def test_scores_stand_in_row_order_in_the_column_of_their_arm(prepared, files):
    found = samples(prepared, files)
    for index, arm in enumerate(found.arms):
        table = pa.concat_tables(score_tables(prepared.store, files, arm))
        assert len(reader.score_files(files, arm)) > 1
        assert np.array_equal(found.row_ids, table["row_index"].to_numpy())
        name = f"score_{prepared.run.experiment.suite.primary.name}"
        assert np.array_equal(found.scores_RA[:, index], table[name].to_numpy())
    assert found.kept_RA.dtype == np.bool_


def test_a_score_of_a_01_metric_that_is_neither_is_refused_by_name(prepared, files):
    arm = prepared.run.experiment.arms[1].name
    last = reader.score_files(files, arm)[-1]
    name = prepared.run.experiment.suite.primary.name
    (first, *others) = pq.read_table(pa.BufferReader(prepared.store.get(last.key)))["scores"].to_pylist()
    other = changed(prepared, last, scores=[[*{**dict(first), name: 0.5}.items()], *others])
    with pytest.raises(DamageError, match=f"for arm '{arm}' are not all 0 or 1"):
        samples(prepared, [other if file == last else file for file in files])


def test_an_arm_that_lacks_a_unit_is_refused_by_name(prepared, files):
    arm = prepared.run.experiment.arms[1].name
    lost = reader.score_files(files, arm)[-1]
    with pytest.raises(DamageError, match=f"arm '{arm}' does not have the same rows as arm"):
        samples(prepared, [file for file in files if file != lost])


@pytest.mark.parametrize("name", ["row_index", "row_id", "label_class"])
def test_an_arm_with_other_rows_is_refused_by_name(prepared, files, name):
    arm = prepared.run.experiment.arms[1].name
    last = reader.score_files(files, arm)[-1]
    values = pq.read_table(pa.BufferReader(prepared.store.get(last.key)))[name].to_pylist()
    other = changed(prepared, last, **{name: [*values[1:], values[0]]})
    with pytest.raises(DamageError, match=f"arm '{arm}' does not have the same rows as arm"):
        samples(prepared, [other if file == last else file for file in files])
