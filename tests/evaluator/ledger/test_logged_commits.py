"""Every commit is in the version log once, whoever commits at the same time and wherever a driver dies."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli.main import app
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import log_chain, reader, version_log, writer
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.ledger.log_chain import START, Position
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.storage import Store, open_store
from assay.manifests.log_entry import CommitEntry, OverrideEntry
from assay.manifests.run import Run
from assay.manifests.verification import ArmVerified, Verification
from tests import builders
from tests.counting_store import CountingStore

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}
_fork = multiprocessing.get_context("fork")


def run_small(folder: Path, **fields) -> pipeline.Prepared:
    prepared = pipeline.prepare(str(builders.write_experiment(folder, arms=ARMS, num_rows=64, **fields)))
    assert pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None) == ()
    return prepared


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Run:
    """The record of a small run, of which tests make others under other names."""
    return run_small(tmp_path_factory.mktemp("small")).run


def commit(store: Store, run: Run, name: str) -> str:
    """Opens and commits a run that has only an analysis."""
    opened = writer.open_run(store, run.model_copy(update={"run_id": name}))
    analysis = {"plan_digest": run.plan_digest, "exploratory": False, "analysis": "{}"}
    file = writer.write_table(store, "analyses", [analysis], run_id=name)
    assert file is not None
    return writer.commit(store, opened, [file])


def logged(store: Store) -> list[str]:
    """The runs whose commits are in the log, in its order; the chain is checked on the way."""
    return [entry.run_id for entry in log_chain.entries(store) if isinstance(entry, CommitEntry)]


def fill(store: Store, num_entries: int) -> None:
    """Appends overrides of another run until the log has so many entries."""
    digest = f"sha256:{'0' * 64}"
    names = ("record_digest", "commit_digest", "analysis_digest", "plan_digest", "policy_digest")
    fields = {"run_id": "another", "arm": "a", "decision": "hold", "reasons": (), "reason": "why", "by": "someone"}
    position = log_chain.newest(store)
    while position.number < num_entries:
        entry = log_chain.append(store, OverrideEntry, {**dict.fromkeys(names, digest), **fields}, after=position)
        assert entry is not None
        position = Position.behind(entry)


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_commit_is_logged_with_the_digests_of_its_records(tmp_path):
    run_id = run_small(tmp_path).run.run_id
    plain = json.loads((tmp_path / "ledger/v2/log/000001.json").read_text())
    assert (plain["kind"], plain["run_id"], plain["by"], plain["previous"]) == ("commit", run_id, "run", None)
    assert plain["record_digest"] == sha256(tmp_path / f"ledger/v2/runs/{run_id}.json")
    assert plain["commit_digest"] == sha256(tmp_path / f"ledger/v2/commits/{run_id}.parquet")


def test_a_run_and_the_one_that_supersedes_it_are_both_logged(tmp_path):
    broken = {**ARMS, "broken": builders.variant("raises", above=0.5)}
    for _ in range(2):
        prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=broken, num_rows=64)))
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    first = str(prepared.run.supersedes)
    assert logged(prepared.store) == [first, prepared.run.run_id]
    assert CommittedRun(prepared.store, first).commit.logged_before == START
    assert CommittedRun(prepared.store, prepared.run.run_id).commit.logged_before.number == 1


@pytest.mark.parametrize("has_hint", [True, pytest.param(False, marks=pytest.mark.extended)])
def test_appending_makes_as_many_store_calls_at_2000_entries_as_at_10(small, has_hint, tmp_path):
    calls = {}
    for num_entries in (10, 2_000):
        inner = open_store(f"memory://{tmp_path.name}-{num_entries}")
        fill(inner, num_entries)
        if not has_hint:
            inner._objects.pop("v2/index/log.json")
        store = CountingStore(inner)
        assert commit(store, small, small.run_id) == ""
        after_commit = store.num_calls
        version_log.record_verification(store, small.run_id, verification())
        calls[num_entries] = (after_commit, store.num_calls - after_commit)
        assert len(log_chain.entries(store)) == num_entries + 2
    assert calls[10] == calls[2_000]


def verification() -> Verification:
    arm = ArmVerified(arm="better", num_units=1, num_rows=1, num_rows_different=0, row_ids=(), columns={})
    return Verification(against="ledger", arms=(arm,), num_rows_dataset=1, tolerance=0.0, changed=())


def test_whether_a_decision_is_logged_is_told_from_what_followed_the_commit(tmp_path):
    calls = {}
    for num_entries in (10, 500):
        inner = open_store(f"memory://{tmp_path.name}-{num_entries}")
        fill(inner, num_entries)
        run_id = run_small(tmp_path / str(num_entries), ledger=inner.uri).run.run_id
        store = CountingStore(inner)
        rows = CommittedRun(store, run_id).rows("decisions")
        assert len(version_log.record_decisions(store, run_id, rows)) == 1
        assert version_log.record_decisions(store, run_id, rows) == ()
        assert version_log.repetition(CommittedRun(store, run_id)) == version_log.Repetition()
        calls[num_entries] = store.num_calls
    assert calls[10] == calls[500]


def die_before_the_entry(work) -> None:
    """Does something in a process that is killed where it would log a commit."""

    def killed(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    def child():
        version_log.record_commit = killed
        work()

    process = _fork.Process(target=child)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def printed(*arguments: str, code: int = 0) -> str:
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == code, ran.output
    return ran.stdout


@pytest.mark.forked
def test_a_commit_that_a_crash_left_out_is_no_problem_and_is_logged_by_whoever_writes_next(tmp_path):
    experiment = str(builders.write_experiment(tmp_path, arms=ARMS, num_rows=64))
    run = {"in_process": True, "on_progress": lambda arm, units: None}
    die_before_the_entry(lambda: pipeline.run(pipeline.prepare(experiment), **run))
    prepared = pipeline.prepare(experiment)
    run_id, crashed = prepared.run.run_id, ("--ledger", prepared.store.uri)
    assert (prepared.committed, logged(prepared.store)) == (True, [])
    said = f"{run_id}: committed, not yet logged: its driver is about to log it, or died before it could"
    assert said in printed("ledger", "verify", *crashed)
    assert json.loads(printed("ledger", "verify", *crashed, "--json"))["unlogged"] == [run_id]
    assert f"not covered: {said}" in printed("ledger", "seal", *crashed)

    commands = {
        "the same run": f"run {experiment} --in-process",
        "another run": f"run {builders.write_experiment(tmp_path / 'other', arms=ARMS, num_rows=64)} --in-process",
        "gate": f"gate {run_id} --record",
        "override": f"ledger override {run_id} better hold --reason why --by me",
        "verify": f"verify {run_id} --in-process",
    }
    for name, command in commands.items():
        ledger = shutil.copytree(prepared.store.uri, tmp_path / name.replace(" ", "-"))
        printed(*command.split(), "--ledger", str(ledger))
        store = open_store(str(ledger))
        (first, *_) = log_chain.entries(store)
        assert isinstance(first, CommitEntry), name
        assert logged(store).count(run_id) == 1, name
        assert (verify_ledger(store).unlogged, verify_ledger(store).problems) == ((), ()), name


def test_a_run_that_was_listed_before_its_commit_is_not_logged_twice(small, tmp_path):
    """The index knows of a later entry than that of a run which it does not know to be logged."""
    store = open_store(f"memory://{tmp_path.name}")
    for name in ("early", "late"):
        commit(store, small, name)
    past = PastRuns(store)
    late = past._entries["v2/runs/late.json"]
    late.logged = Position.behind(log_chain.entries(store)[1])
    assert past.log_commits() == ()
    assert logged(store) == ["early", "late"]
    assert past._entries["v2/runs/early.json"].logged == Position.behind(log_chain.entries(store)[0])


def test_an_index_that_names_a_position_of_another_log_hides_no_commit(small, tmp_path):
    store = open_store(f"memory://{tmp_path.name}")
    for name in ("one", "two"):
        commit(store, small, name)
    past = PastRuns(store)
    past._entries["v2/runs/one.json"].logged = Position(1, f"sha256:{'f' * 64}")
    assert past.log_commits() == ()
    assert logged(store) == ["one", "two"]


@pytest.mark.parametrize(
    "hint", [b"", b"{}", b"[1]", b'{"number": "7"}', b'{"number": -1}', b'{"number": 1e999}', b"\xff"]
)
@pytest.mark.parametrize("number", [None, 1, 99, 10**30])
def test_a_hint_that_is_wrong_only_costs_reads(small, tmp_path, hint, number):
    store = open_store(f"memory://{tmp_path.name}")
    for name in ("one", "two"):
        commit(store, small, name)
    store.replace("v2/index/log.json", hint if number is None else json.dumps({"number": number}).encode())
    assert commit(store, small, "three") == ""
    assert logged(store) == ["one", "two", "three"]
    assert json.loads(store.get("v2/index/log.json").to_pybytes()) == {"number": 3}


def test_a_commit_record_that_cannot_be_read_is_a_problem_and_not_one_that_waits_to_be_logged(tmp_path):
    prepared = run_small(tmp_path)
    commit = Path(prepared.store.uri, f"v2/commits/{prepared.run.run_id}.parquet")
    commit.write_bytes(b"")
    Path(prepared.store.uri, "v2/log/000001.json").unlink()
    verified = verify_ledger(prepared.store)
    assert verified.unlogged == ()
    assert f"v2/commits/{prepared.run.run_id}.parquet" in {each.key for each in verified.problems}


def test_a_damaged_newest_entry_stops_no_run_and_is_named(tmp_path):
    prepared = run_small(tmp_path)
    path = Path(prepared.store.uri, "v2/log/000001.json")
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    other = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=ARMS, num_rows=64, name="other")))
    (problem,) = pipeline.run(other, in_process=True, on_progress=lambda arm, units: None)
    assert "'v2/log/000001.json' was changed" in problem
    assert "restore the file" in problem
    assert reader.is_committed(other.store, other.run.run_id)
    verified = verify_ledger(other.store)
    assert set(verified.unlogged) == {prepared.run.run_id, other.run.run_id}
    assert [each.key for each in verified.problems] == ["v2/log/000001.json"]

    ran = CliRunner().invoke(app, ["run", str(tmp_path / "experiment.yaml"), "--in-process"])
    assert "warning: the log does not have every run: " in ran.stderr
    assert isinstance(ran.exception, DamageError)  # decisions are shown only with all evidence that the log has

    path.write_bytes(content)
    assert pipeline.run(other, in_process=True, on_progress=lambda arm, units: None) == ()
    assert logged(other.store) == [prepared.run.run_id, other.run.run_id]


# Processes that commit at the same time, some of which are killed.


def commit_many(uri: str, run: Run, names: list[str]) -> None:
    store = open_store(uri)
    for name in names:
        if not reader.is_committed(store, name):
            commit(store, run, name)


def at_once(uri: str, run: Run, *, num_processes: int, num_runs: int) -> list[str]:
    names = [[f"run-{process}-{number}" for number in range(num_runs)] for process in range(num_processes)]
    processes = [_fork.Process(target=commit_many, args=(uri, run, each)) for each in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [name for each in names for name in each]


def check_log(store: Store, names: list[str]) -> None:
    """No gap, no fork (`log_chain.entries` raises), no commit missing or twice, and each behind what it refers to."""
    assert sorted(logged(store)) == sorted(names)
    numbers = {entry.run_id: entry.number for entry in log_chain.entries(store) if isinstance(entry, CommitEntry)}
    assert sorted(numbers.values()) == list(range(1, len(names) + 1))
    assert all(CommittedRun(store, name).commit.logged_before.number < numbers[name] for name in names)


@pytest.mark.forked
def test_processes_that_commit_at_once_in_a_folder_leave_one_chain(small, tmp_path):
    names = at_once(str(tmp_path), small, num_processes=6, num_runs=5)
    check_log(open_store(str(tmp_path)), names)


@pytest.mark.forked
def test_processes_that_commit_at_once_in_a_bucket_leave_one_chain(small, s3, tmp_path):
    uri = f"s3://assay/{tmp_path.name}"
    names = at_once(uri, small, num_processes=4, num_runs=3)
    check_log(open_store(uri), names)


@pytest.mark.forked
@pytest.mark.extended
def test_rival_drivers_of_the_same_runs_log_each_commit_once(small, tmp_path):
    names = [f"run-{number}" for number in range(5)]
    processes = [_fork.Process(target=commit_many, args=(str(tmp_path), small, names)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    check_log(open_store(str(tmp_path)), names)


@pytest.mark.forked
@pytest.mark.extended
@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_killed_at_any_moment_the_log_has_each_commit_once(small, s3, tmp_path, where):
    uri = str(tmp_path) if where == "folder" else f"s3://assay/killed-{tmp_path.name}"
    generator, num_processes, num_runs = random.Random(16), 6, 12
    work = [[f"run-{process}-{number}" for number in range(num_runs)] for process in range(num_processes)]
    num_kills, alive = 0, {}
    ends = time.monotonic() + 240
    while time.monotonic() < ends:
        for index, names in enumerate(work):
            process = alive.get(index)
            if process is None or process.exitcode == -signal.SIGKILL:
                alive[index] = _fork.Process(target=commit_many, args=(uri, small, names))
                alive[index].start()
        if all(process.exitcode == 0 for process in alive.values()):
            break
        time.sleep(generator.uniform(0, 0.1))
        if num_kills < 60:
            victim = generator.choice(list(alive.values()))
            if victim.exitcode is None:
                os.kill(victim.pid, signal.SIGKILL)
                num_kills += 1
    assert all(process.exitcode == 0 for process in alive.values())
    assert num_kills >= 20
    store = open_store(uri)
    log_chain.entries(store)
    assert PastRuns(store).log_commits() == ()
    check_log(store, [name for names in work for name in names])
