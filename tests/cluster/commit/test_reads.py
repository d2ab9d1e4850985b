"""What is read from the store: each file of a committed run once, and of a published unit its end until the commit."""

import hashlib
import json
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.commit import gate_calibration
from assay.cluster.commit.analysis import reanalysed
from assay.cluster.drive.unit_work import PublishUnit
from assay.cluster.report import outcomes, record, timing
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import StoredObject
from assay.manifests import InvalidInput, Plan
from tests import builders
from tests.counting_store import CountingStore

NUM_UNITS = 7  # 200 rows in units of 32
PLAN = {
    **builders.SUITE["plan"],
    "guardrails": [
        {"kind": "metric", "metric": "log_loss", "margin": 0.5},
        {"kind": "metric", "metric": "auroc", "margin": 0.5},
        {"kind": "metric", "metric": "recall", "margin": 0.5},
        {"kind": "metric", "metric": "f1", "margin": 0.5},
        {"kind": "segments", "metric": "accuracy", "margin": 0.5},
        {"kind": "segments", "metric": "log_loss", "margin": 0.5},
        {"kind": "group_gap", "metric": "accuracy", "column": "group", "margin": 0.5},
        {"kind": "selection_ratio", "positive": 1, "column": "group"},
    ],
}
SUITE = {
    **builders.SUITE,
    "metrics": [
        *builders.SUITE["metrics"],
        {"name": "recall", "measure": "recall", "operating_point": {"false_positive_rate": 0.3}},
        {"name": "f1", "measure": "f1"},
    ],
    "plan": PLAN,
}


def ignored(arm: str, units: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pipeline.Prepared:
    """A committed run of four arms, with five metrics and guardrails of every kind that needs scores."""
    ready = pipeline.prepare(str(builders.write_experiment(tmp_path_factory.mktemp("run"), suite=SUITE)))
    pipeline.run(ready, in_process=True, on_progress=ignored)
    return ready


def counted(prepared: pipeline.Prepared) -> CommittedRun:
    return CommittedRun(CountingStore(prepared.store), prepared.run.run_id)


def test_a_re_analysis_reads_each_score_file_once(prepared):
    run = counted(prepared)
    again = reanalysed(run, prepared.run.experiment.suite.plan)
    (recorded,) = run.rows("analyses")
    assert again.plain() == json.loads(recorded["analysis"])
    scores = [file.key for file in run.files if file.table == "scores"]
    assert len(scores) == len(builders.ARMS) * NUM_UNITS
    assert run.store.of("/data/scores/") == dict.fromkeys(scores, 1)
    assert set(run.store.whole.values()) == {1}
    assert run.store.parts == {}


def test_a_second_analysis_of_the_same_scores_reads_nothing(prepared):
    run = counted(prepared)
    plan = prepared.run.experiment.suite.plan.model_copy(update={"guardrails": ()})
    first = reanalysed(run, plan)
    num_reads = run.store.whole.total()
    second = reanalysed(run, plan.model_copy(update={"alpha": 0.01}))
    assert run.store.whole.total() == num_reads
    assert [each.estimate for each in second.comparisons] == [each.estimate for each in first.comparisons]


@pytest.mark.parametrize("report", [record.document, outcomes.outcomes, timing.timing])
def test_a_report_reads_no_scores_and_each_table_once(prepared, report):
    store = CountingStore(prepared.store)
    report(store, prepared.run.run_id)
    assert store.of("/data/scores/") == {}
    assert store.of("/data/")
    assert set(store.whole.values()) == {1}


def test_a_calibration_reads_each_score_file_once(tmp_path):
    suite = {**builders.SUITE, "plan": {**PLAN, "guardrails": [PLAN["guardrails"][0], *PLAN["guardrails"][4:]]}}
    ready = pipeline.prepare(str(builders.write_experiment(tmp_path, suite=suite)))
    pipeline.run(ready, in_process=True, on_progress=ignored)
    run = counted(ready)
    arms = gate_calibration.calibrate(run, num_permutations=1, seed=0).arms
    assert len(run.store.of("/data/scores/")) == len(arms) * NUM_UNITS
    assert set(run.store.of("/data/").values()) == {1}


@pytest.mark.parametrize(
    ("changes", "field", "known"),
    [
        ({"metric": "acuracy"}, "metric", "accuracy"),
        ({"margins": {"beter": 0.1}}, "margins.beter", "better"),
        ({"columns": {"segment": "grup"}}, "columns.segment", "group"),
        ({"columns": {"segment": "group", "cluster": "user"}}, "columns.cluster", ""),  # the run has no cluster column
        ({"guardrails": [{**PLAN["guardrails"][6], "column": "groop"}]}, r"guardrails\[0\].column", "group"),
    ],
)
def test_a_plan_that_names_what_the_run_lacks_is_refused_with_the_place(prepared, changes, field, known):
    plan = Plan.model_validate_json(json.dumps({**PLAN, **changes}))
    with pytest.raises(InvalidInput, match=rf"{field}.*no such.*{known}"):
        reanalysed(counted(prepared), plan)


# Resuming


class Watched(PublishUnit):
    """Notes, before the first unit is scored, what the driver has read by then."""

    store: CountingStore
    before_first_unit: tuple[dict[str, int], dict[str, list[int]]] | None = None

    def perform(self, task, unit, **words):
        if Watched.before_first_unit is None:
            Watched.before_first_unit = dict(self.store.whole), {key: [*of] for key, of in self.store.parts.items()}
        return super().perform(task, unit, **words)


def interrupted(prepared: pipeline.Prepared, *, after: int) -> None:
    """Runs until this many units are published."""
    seen = []

    def interrupt(arm: str, units: int) -> None:
        seen.append(arm)
        if len(seen) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(prepared, in_process=True, on_progress=interrupt)


def resumed(prepared: pipeline.Prepared, monkeypatch) -> CountingStore:
    """Runs to the end and returns the driver's store."""
    store = CountingStore(prepared.store)
    Watched.store, Watched.before_first_unit = store, None
    monkeypatch.setattr(pipeline, "open_ledger", lambda uri, patient: store)
    monkeypatch.setattr(pipeline, "PublishUnit", Watched)
    pipeline.run(prepared, in_process=True, on_progress=ignored)
    return store


def test_a_run_of_1_000_published_units_resumes_after_one_small_read_of_each(tmp_path, monkeypatch):
    builders.freeze_rows(tmp_path, num_rows=2_004)  # 63 units
    arms = {**builders.ARMS, **{f"arm-{number}": builders.variant(flip_every=number) for number in range(2, 15)}}
    experiment = builders.write_experiment(tmp_path, arms=arms, ledger=f"memory://{tmp_path.name}")
    prepared = pipeline.prepare(str(experiment))
    interrupted(prepared, after=1_000)
    published = [entry.key for entry in prepared.store.listing("v2/data/scores/")]
    assert len(published) in (1_000, 1_001)  # one more was being published
    resumed(prepared, monkeypatch)
    whole, parts = Watched.before_first_unit
    assert [key for key in whole if "/data/" in key] == []
    assert sorted(parts) == published
    assert {len(lengths) for lengths in parts.values()} == {1}
    assert max(length for lengths in parts.values() for length in lengths) <= 64 * 1024
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    assert len([file for file in files if file.table == "scores"]) == 17 * 63


def test_a_commit_reads_each_score_file_once_and_records_the_digest_of_what_it_read(tmp_path, monkeypatch):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    interrupted(prepared, after=10)
    store = resumed(prepared, monkeypatch)
    scores = {file.key: file for file in reader.committed_files(store, prepared.run.run_id) if file.table == "scores"}
    assert store.of("/data/scores/") == dict.fromkeys(scores, 1)
    for key, file in scores.items():
        content = Path(prepared.store.uri, key).read_bytes()
        assert file.sha256 == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert file.size_bytes == len(content)
    assert verify_ledger(prepared.store).problems == ()


def test_a_published_unit_whose_rows_were_changed_is_never_committed(tmp_path, monkeypatch):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    interrupted(prepared, after=10)
    stored = next(prepared.store.listing("v2/data/scores/"))
    path = Path(prepared.store.uri, stored.key)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    resumed(prepared, monkeypatch)
    assert verify_ledger(prepared.store).problems == ()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all", b"\xff\xff\xff\x7fPAR1"])
def test_a_file_among_the_units_that_is_none_is_named(tmp_path, content):
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path)))
    interrupted(prepared, after=2)
    stored = next(prepared.store.listing("v2/data/scores/"))
    Path(prepared.store.uri, stored.key).write_bytes(content)
    (damaged,) = reader.published_units(prepared.store, prepared.run, prepared.units).damaged
    assert f"'{stored.key}' is not a unit file as Assay wrote it: it" in str(damaged)


def test_metadata_longer_than_the_first_read_take_a_second_one(prepared, monkeypatch):
    file = next(file for file in prepared.store.listing("v2/data/scores/"))
    at_once = reader.read_receipt(prepared.store, file)
    monkeypatch.setattr(reader, "FOOTER_BYTES", 100)
    store = CountingStore(prepared.store)
    assert reader.read_receipt(store, StoredObject(file.key, file.size_bytes)) == at_once
    first, second = store.parts[file.key]
    assert first == 100
    assert 100 < second < file.size_bytes
    assert store.whole.total() == 0
