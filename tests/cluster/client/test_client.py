"""The client: submissions to a real Ray head with token authentication, and everything that needs no head."""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay import Client
from assay.cluster import pipeline
from assay.cluster.cli import jobs as verbs
from assay.cluster.cli import main
from assay.cluster.client import client, ray_jobs, submission
from assay.cluster.client.submission import Submission
from assay.cluster.errors import NoAnswerError, RunError
from assay.cluster.report.record import document
from assay.evaluator import fingerprint
from assay.evaluator.ledger import reader
from assay.manifests import InvalidInput
from assay.manifests.ledger_layout import cancel_key, submission_key, table_prefix
from assay.manifests.spent import Spent
from tests import builders
from tests.fake_jobs import NOWHERE, TOKEN, FakeJobs, report
from tests.ray_head import Head, with_code_apart

ONE_SLOT = {"max_slots": 1}  # a second one would only have to be started
SLOW = """

def slow(features, *, flip_every):
    # Over half a second per unit, but no delay for the probe, which sends rows one by one.
    return threshold(features, flip_every=flip_every, delay_s=0.6 if len(features["x"]) > 1 else 0.0)
"""


def variables(head: Head) -> dict[str, str]:
    return {"RAY_AUTH_TOKEN": head.token, "RAY_API_SERVER_ADDRESS": head.address}


def submit_and_die(head: Head, *arguments: object) -> dict:
    """Runs `assay submit` in a separate process, which has exited afterwards, and returns its JSON."""
    command = [sys.executable, "-m", "assay.cluster.cli", "submit", *map(str, arguments), "--json"]
    environment = {**os.environ, **variables(head)}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def verb(head: Head, *arguments: str) -> str:
    answer = CliRunner().invoke(main.app, list(arguments), env=variables(head), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


# ---- on a real head


@pytest.fixture(scope="module")
def broken(tmp_path_factory, head) -> Submission:
    """A submission whose control fails on its node. It is submitted first and checked after other tests have ended."""
    arms = {"control": builders.variant("raises", above=0.9), "better": builders.ARMS["better"]}
    folder = tmp_path_factory.mktemp("broken")
    experiment, code = with_code_apart(folder, arms=arms, resources={**ONE_SLOT, "max_attempts": 1})
    return head.client().submit(experiment, working_dir=code, name="broken")


@pytest.mark.ray
@pytest.mark.usefixtures("broken")
def test_a_cancelled_submission_keeps_its_units_and_the_next_one_outlives_its_client_and_is_read(tmp_path, head):
    arms = {"control": builders.variant("slow", flip_every=5), "again": builders.own_variant(flip_every=5)}
    experiment, code = with_code_apart(tmp_path, arms={**builders.ARMS, **arms}, resources=ONE_SLOT)
    builders.write_own_modules(code)
    with (code / "variants_under_test.py").open("a") as file:
        file.write(SLOW)
    first = head.client().submit(experiment, working_dir=code, name="first")
    assert any(progress.num_units_done for progress in first.stream(timeout_s=120)), list(first.logs(follow=False))
    assert first.cancel() == "cancelled"
    assert first.status() == "cancelled"
    with pytest.raises(RunError, match="was cancelled; submit it again"):
        first.result()
    store = first._store
    published = [*store.listing(table_prefix("scores", str(first.run_id)))]
    kept = {unit.key: fingerprint.sha256_digest(store.get(unit.key)) for unit in published}
    assert 0 < len(kept) < 7  # units of the control, which runs first
    cancelled = first.progress()
    assert cancelled is not None
    assert cancelled.state == "cancelled"

    submitted = submit_and_die(head, experiment, "--working-dir", code, "--name", "first")
    assert submitted["submission_id"] == f"{first.submission_id}.2"
    found = head.client().find("first")  # the process of that client has exited
    assert found.submission_id == submitted["submission_id"]
    joined = head.client().submit(experiment, working_dir=code, name="first")
    assert joined.submission_id == found.submission_id
    streamed = list(head.client().find("first").stream(timeout_s=120))
    states, counts = [each.state for each in streamed], [each.num_units_done for each in streamed]
    assert states[-2:] == ["running", "committed"]
    assert counts == sorted(counts)
    assert found.wait(timeout_s=1) == "succeeded"

    progress = found.progress()
    assert progress is not None
    assert (progress.state, progress.num_units_done, progress.num_rows_done) == ("committed", 28, 800)
    result = found.result()
    assert result.run_id == progress.run_id == found.run_id == first.run_id
    files = {file.key: file.sha256 for file in reader.committed_files(store, result.run_id)}
    assert kept.items() <= files.items()
    assert {each.arm: each.decision for each in result.decisions}["better"] == "promote"
    assert result.gate == "promote"
    assert result.missing == ()
    assert Path(result.record).is_file()
    assert set(result.comparisons["arm"]) == {"better", "worse", "again"}

    alone = tmp_path / "alone"
    prepared = pipeline.prepare(str(builders.write_experiment(alone)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    result_json = json.loads(verb(head, "result", "first", "--json"))
    assert result_json["scores_digest"] == document(prepared.store, prepared.run.run_id).plain()["scores_digest"]

    assert head.client().submit(experiment, working_dir=code, name="first").submission_id == found.submission_id
    ours = [job for job in head.client()._jobs.all() if (job.metadata or {}).get("assay_name") == "first"]
    assert {job.submission_id for job in ours} == {first.submission_id, found.submission_id}
    status = verb(head, "status", "first", "--follow")
    assert "28 of 28 units, 800 rows" in status
    assert "slot-hours" in status
    log = verb(head, "logs", "first", "--no-follow")
    assert result.run_id in log
    stored = b"".join(path.read_bytes() for path in Path(found.ledger).rglob("*") if path.is_file())
    for place in (log, *(job.model_dump_json() for job in ours), stored.decode(errors="replace")):
        assert head.token not in place


@pytest.mark.ray
def test_a_control_that_fails_on_a_node_is_told_with_arm_unit_node_and_traceback(head, broken):
    assert broken.wait(timeout_s=120) == "failed"
    assert "variants_under_test" in "".join(broken.logs(follow=True))
    with pytest.raises(RunError) as failed:
        broken.result()
    for part in (
        f"submission '{broken.submission_id}' has no result: it failed: ",
        "the control 'control' could not be measured",
        "unit 0 ",
        f"[slot-0 on {socket.gethostname()}]",
        "Traceback (most recent call last)",
        "variants_under_test.py",
        "RuntimeError: cannot take this batch",
    ):
        assert part in str(failed.value)
    with pytest.raises(InvalidInput, match=r"no submission of this name or ID.*did you mean 'broken'"):
        head.client().find("broke")


@pytest.mark.ray
def test_a_wrong_token_and_none_say_which_variable_to_set(head, monkeypatch):
    for token, problem in (("wrong" * 12, "rejects this token"), (None, "requires a token")):
        with pytest.raises(RunError, match=f"{problem}; set RAY_AUTH_TOKEN") as refused:
            Client(head.address, token).find("first")
        assert "wrong" not in str(refused.value)
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    with pytest.raises(InvalidInput, match="no submission of this name or ID"):
        Client(head.address).find("never-submitted")


# ---- without one


@pytest.mark.parametrize(
    "modules", ["assay, assay.cluster.cli.main", "assay.cluster.report.terminal.gate, assay.cluster.report.record"]
)
def test_the_client_the_command_line_and_what_the_gate_shows_import_neither_ray_nor_torch(modules):
    code = f"import sys, {modules}; sys.exit(any(name in sys.modules for name in ('ray', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b",  # leaves a job that never ends at Ray
        "a b",
        "-a",
        "ä",
        "a\n",  # `$` in a regular expression would let it pass
        "$(id)",
        "x" * 102,
        "x" * 95,  # leaves no room for the digest
    ],
)
def test_a_name_that_cannot_be_an_id_is_refused_before_anybody_is_asked(tmp_path, name):
    experiment = builders.write_experiment(tmp_path)
    with pytest.raises(InvalidInput, match="name: not a valid name or ID"):
        Client(NOWHERE).submit(experiment, name=name)


@pytest.mark.parametrize("address", ["ray://head:10001", "head:8265", "http://", "auto", ""])
def test_an_address_that_is_not_a_dashboard_is_refused(address):
    with pytest.raises(InvalidInput, match="allowed: http://HEAD:8265"):
        Client(address)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metadata": {"note": "it is s3cret-token!"}}, "metadata: contains the cluster's token"),
        ({"runtime_env": {"env_vars": {"TOKEN": "s3cret-token"}}}, "runtime_env: contains the cluster's token"),
        ({"runtime_env": {"env_vars": {"KEY": "of-the-bucket"}}}, "contains the value of AWS_SECRET_ACCESS_KEY, which"),
        ({"metadata": {"assay_name": "other"}}, "metadata.assay_name: this key is reserved"),
        ({"metadata": {"number": 1}}, "metadata.number: keys and values must be strings"),
        ({"runtime_env": {"working_dir": "."}}, "runtime_env.working_dir: cannot be set in runtime_env"),
        ({"working_dir": "no/such/folder"}, "working_dir: there is no such folder"),
        ({"ledger": "memory://here"}, "ledger: a cluster cannot reach"),
    ],
)
def test_what_must_not_or_cannot_travel_is_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-bucket")
    with pytest.raises(InvalidInput, match=message) as refused:
        Client(NOWHERE, "s3cret-token").submit(builders.write_experiment(tmp_path), **options)
    for secret in ("s3cret-token", "of-the-bucket"):
        assert secret not in str(refused.value)


def test_a_working_folder_with_an_assay_of_its_own_is_refused(tmp_path):
    experiment, code = with_code_apart(tmp_path)
    (code / "assay.py").touch()
    with pytest.raises(InvalidInput, match=r"code/assay\.py: on Ray this would be imported instead"):
        Client(NOWHERE).submit(experiment, working_dir=code)


def test_a_head_that_is_down_is_told_at_once(tmp_path):
    began_s = time.monotonic()
    with pytest.raises(RunError, match=f"{NOWHERE}: the cluster cannot be reached"):
        Client(NOWHERE).submit(builders.write_experiment(tmp_path))
    assert time.monotonic() - began_s < 10


def test_a_head_that_never_answers_is_told_within_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began_s = time.monotonic()
        with pytest.raises(RunError, match=r"no answer within 0\.5 s"):
            Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5).find("first")
    assert time.monotonic() - began_s < 5


def test_ray_address_does_not_turn_the_client_elsewhere(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:10")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:11")
    with pytest.raises(RunError, match=NOWHERE):
        Client(NOWHERE).find("first")


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def faked(jobs) -> Client:
    return jobs.client()


def test_the_same_experiment_joins_and_any_change_does_not(tmp_path, faked, jobs):
    experiment, code = with_code_apart(tmp_path)
    first = faked.submit(experiment, working_dir=code).submission_id
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    assert faked.submit(experiment, working_dir=code).submission_id == first
    assert len(jobs.submitted) == 1
    others = [
        faked.submit(experiment, working_dir=code, name="other"),
        faked.submit(experiment),
        faked.submit(experiment, working_dir=code, runtime_env={"pip": ["cowsay"]}),
        faked.submit(experiment, working_dir=code, ledger=str(tmp_path / "elsewhere")),
    ]
    (code / "variants_under_test.py").write_text(builders.CODE + "# changed\n")
    others.append(faked.submit(experiment, working_dir=code))
    assert len({first, *(each.submission_id for each in others)}) == 6


def test_a_ledger_and_datasets_in_the_working_folder_stay_at_home(tmp_path, faked, jobs, monkeypatch):
    experiment = builders.write_experiment(tmp_path)
    travelled: list[set[str]] = []
    submit = jobs.submit

    def seen(submission_id, *, entrypoint, runtime_env, metadata):
        travelled.append({path.name for path in Path(runtime_env["working_dir"]).iterdir()})
        return submit(submission_id, entrypoint=entrypoint, runtime_env=runtime_env, metadata=metadata)

    monkeypatch.setattr(jobs, "submit", seen)
    first = faked.submit(experiment, working_dir=tmp_path)
    assert "variants_under_test.py" in travelled[0]
    assert travelled[0].isdisjoint({"ledger", "datasets"})
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)  # the ledger grows
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert faked.submit(experiment, working_dir=tmp_path).submission_id == first.submission_id


@pytest.mark.parametrize(
    ("status", "joins"),
    [("PENDING", True), ("RUNNING", True), ("SUCCEEDED", True), ("FAILED", False), ("STOPPED", False)],
)
def test_what_waits_works_or_is_done_is_joined_and_what_failed_is_tried_again(tmp_path, faked, jobs, status, joins):
    experiment = builders.write_experiment(tmp_path)
    first = faked.submit(experiment).submission_id
    jobs.jobs[first] = status
    assert faked.submit(experiment).submission_id == (first if joins else f"{first}.2")


def test_a_pending_submission_is_cancelled_though_ray_cannot_stop_it(tmp_path, faked, jobs):
    experiment = builders.write_experiment(tmp_path)
    first = faked.submit(experiment)
    assert first.status() == "pending"
    assert first.cancel() == "cancelled"
    assert jobs.jobs[first.submission_id] == "PENDING"  # it stays pending at Ray until its driver finds the marker
    assert first._store.exists(cancel_key(first.submission_id))
    assert faked.submit(experiment).submission_id == f"{first.submission_id}.2"


def test_a_driver_that_does_not_end_by_itself_is_stopped(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs[first.submission_id] = "RUNNING"
    assert first.cancel(grace_s=0.1) == "cancelled"
    assert jobs.stopped == [first.submission_id]


def test_the_verbs_are_the_client(tmp_path, faked, jobs, monkeypatch):
    monkeypatch.setattr(verbs, "_client", lambda address: faked)
    experiment = str(builders.write_experiment(tmp_path))

    def answer(*arguments: str) -> dict:
        outcome = CliRunner().invoke(main.app, [*arguments, "--json"], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout)

    submitted = answer("submit", experiment, "--name", "mine")
    assert submitted["name"] == "mine"
    assert answer("status", "mine") == {
        "submission_id": submitted["submission_id"],
        "status": "pending",
        "progress": None,
    }
    assert answer("cancel", submitted["submission_id"])["status"] == "cancelled"
    logs = CliRunner().invoke(main.app, ["logs", "mine"], catch_exceptions=False)
    assert logs.stdout == "all of it"


def test_the_marker_is_written_even_if_the_cluster_is_gone(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs.clear()
    with pytest.raises(RunError, match="does not know submission"):
        first.cancel()
    assert first.is_marked_cancelled()


def test_results_and_progress_outlive_the_cluster(tmp_path, faked, jobs):
    experiment = builders.write_experiment(tmp_path)
    first = faked.submit(experiment)
    assert (first.run_id, first.progress()) == (None, None)
    with pytest.raises(RunError, match=r"no result yet: it is pending; call wait\(\) first"):
        first.result()
    prepared = pipeline.prepare(str(experiment))
    first._store.replace(submission_key(first.submission_id), json.dumps({"run_id": prepared.run.run_id}).encode())
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    jobs.jobs.clear()
    assert first.result().gate == "promote"
    assert first.status() == "succeeded"
    progress = first.progress()
    assert progress is not None
    assert progress.state == "committed"


def test_waiting_ends_with_the_deadline_and_the_submission_goes_on(tmp_path, faked):
    with pytest.raises(RunError, match=r"still pending after 0.1 s and continues: wait longer"):
        faked.submit(builders.write_experiment(tmp_path)).wait(timeout_s=0.1)


@pytest.mark.parametrize(
    ("at_ray", "reported", "minute", "status"),
    [
        ("FAILED", "stopped", 20, "stopped"),  # its budget is exhausted, or a SIGTERM that Ray did not send
        ("STOPPED", "stopped", 20, "stopped"),
        ("STOPPED", "running", 20, "stopped"),  # killed before it could report
        ("FAILED", "running", 20, "failed"),
        ("FAILED", "failed", 20, "failed"),
        ("STOPPED", "committed", 20, "succeeded"),  # the stop came too late
        ("FAILED", "stopped", 5, "failed"),  # reported by the previous attempt; this one could not even start
        ("STOPPED", "committed", 55, "stopped"),  # reported by the next attempt
        ("RUNNING", "stopped", 5, "running"),
        (None, "stopped", 20, "stopped"),  # a head that does not know it any more
        (None, "cancelled", 20, "cancelled"),
        (None, "failed", 20, "failed"),
    ],
)
def test_how_it_ended_is_what_its_own_driver_told(tmp_path, faked, jobs, at_ray, reported, minute, status):
    first = faked.submit(builders.write_experiment(tmp_path))
    report(first, reported, began_at_minute=minute)
    jobs.jobs = {first.submission_id: at_ray} if at_ray else {}
    assert first.status() == status


def test_a_cancelled_one_is_cancelled_however_ray_ended_it(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    first.cancel()
    report(first, "stopped")
    for at_ray in ("PENDING", "FAILED", "STOPPED"):
        jobs.jobs[first.submission_id] = at_ray
        assert first.status() == "cancelled"


def test_a_stopped_run_without_a_commit_says_why_and_to_submit_again(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs[first.submission_id] = "FAILED"
    report(first, "stopped", reason="the budget of 2 slot-hours is spent")
    with pytest.raises(RunError, match=r"it was stopped; submit it again to resume: the budget of 2 slot-hours"):
        first.result()
    assert first.wait(timeout_s=1) == "stopped"
    assert faked.submit(tmp_path / "experiment.yaml").submission_id == f"{first.submission_id}.2"


def test_a_failed_run_is_told_in_full_by_the_ledger_whatever_is_left_of_the_log(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs[first.submission_id] = "FAILED"
    reason = (
        "the control 'control' could not be measured: unit 3 [slot-0 on n]\n" + "  File x\n" * 100 + "ValueError: y"
    )
    report(first, "failed", reason=reason)
    with pytest.raises(RunError) as failed:
        first.result()
    assert str(failed.value).endswith(f"it failed: {reason}")


def test_a_stream_tells_every_change_once_and_ends_with_the_submission(tmp_path, faked, jobs, monkeypatch):
    monkeypatch.setattr(submission, "_POLL_S", 0.01)
    first = faked.submit(builders.write_experiment(tmp_path))
    stream = first.stream(timeout_s=10)
    reports = [report(first, "running", num_units_done=0)]
    assert next(stream) == reports[0]
    for num_units_done in (1, 2):
        reports.append(report(first, "running", num_units_done=num_units_done))
        assert next(stream) == reports[-1]
    reports.append(report(first, "committed", num_units_done=7))
    jobs.jobs[first.submission_id] = "SUCCEEDED"
    assert list(stream) == reports[-1:]
    assert list(first.stream(timeout_s=10)) == reports[-1:]


def test_a_cluster_that_is_gone_for_a_moment_is_waited_for(tmp_path, faked, jobs, monkeypatch):
    monkeypatch.setattr(submission, "_POLL_S", 0.01)
    first = faked.submit(builders.write_experiment(tmp_path))
    gone = [NoAnswerError("the cluster cannot be reached") for _ in range(5)]
    last = report(first, "committed")
    jobs.jobs[first.submission_id] = "SUCCEEDED"
    for answer, expected in ((first.wait, "succeeded"), (lambda timeout_s: list(first.stream(timeout_s=9)), [last])):
        jobs.errors = list(gone)
        assert answer(timeout_s=9) == expected
    jobs.errors = list(gone)
    with pytest.raises(RunError, match=r"still unreachable after 0.005 s"):
        first.wait(timeout_s=0.005)
    monkeypatch.setattr(submission, "_AWAY_S", 0.0)
    jobs.errors = list(gone)
    with pytest.raises(RunError, match="cannot be reached"):
        first.wait(timeout_s=9)


def test_a_cluster_that_refuses_is_not_waited_for(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.errors = [RunError("the cluster rejects this token")]
    with pytest.raises(RunError, match="rejects this token"):
        first.wait(timeout_s=9)


def test_status_shows_cost_slots_speed_and_dropped_arms(tmp_path, faked, jobs, monkeypatch):
    monkeypatch.setattr(verbs, "_client", lambda address: faked)
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs[first.submission_id] = "RUNNING"
    spent = Spent(slot_s=5400, cpu_s=5400, gpu_s=1800, price=1234.5)
    report(first, "running", spent=spent, eliminated="eliminated by 'control' by 0.2")
    status = CliRunner().invoke(main.app, ["status", "small"], catch_exceptions=False).stdout
    for part in (
        "running: 10 of 14 units, 296 rows, 1 of 2 slots busy, 1,234 rows/s, about 30 s left, 4 retries",
        "1 arm eliminated, cost so far 1.5 slot-hours, 0.5 GPU-hours, price 1,234.50",
        "better: 3/7 units  eliminated by 'control' by 0.2",
    ):
        assert part in status
    report(first, "stopped", reason="the budget is spent\nand more")
    jobs.jobs[first.submission_id] = "FAILED"
    followed = CliRunner().invoke(main.app, ["status", "small", "--follow", "--json"], catch_exceptions=False)
    assert json.loads(followed.stdout)["status"] == "stopped"
    assert followed.stderr.count("stopped: 10 of 14 units, 296 rows, 4 retries, cost so far 0 slot-hours") == 1


def test_a_pickle_holds_no_token_and_opens_with_that_of_the_environment(tmp_path, faked, monkeypatch):
    first = faked.submit(builders.write_experiment(tmp_path))
    first.progress()  # the store is open
    first._jobs = Client(NOWHERE, TOKEN)._jobs
    pickles = [pickle.dumps(each) for each in (Client(NOWHERE, TOKEN, timeout_s=3.5), first)]
    assert not any(TOKEN.encode() in each for each in pickles)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "that-of-the-environment")
    opened, again = map(pickle.loads, pickles)
    assert (opened.address, opened._jobs.token, opened._jobs._timeout_s) == (NOWHERE, "that-of-the-environment", 3.5)
    assert (again.submission_id, again.ledger, again.run_id) == (first.submission_id, first.ledger, None)


def test_a_driver_that_is_told_to_end_has_a_minute(tmp_path, faked, jobs):
    faked.submit(builders.write_experiment(tmp_path))
    assert jobs.submitted[0]["runtime_env"]["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "60"


def test_a_driver_keeps_to_the_ledger_of_its_submission_whatever_the_heads_is(tmp_path, faked, jobs, monkeypatch):
    experiment = builders.write_experiment(tmp_path)
    faked.submit(experiment, ledger=str(tmp_path / "submitted"))
    monkeypatch.setenv("ASSAY_LEDGER", str(tmp_path / "of-the-head"))
    for name, value in jobs.submitted[0]["runtime_env"]["env_vars"].items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(main.app, ["run", str(experiment), "--in-process"]).exit_code == 0
    assert (tmp_path / "submitted" / "v2" / "commits").is_dir()
    assert not (tmp_path / "of-the-head").exists()


def test_the_words_of_a_failed_driver_begin_with_ours(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs[first.submission_id] = "FAILED"
    with pytest.raises(RunError, match=r"it failed: arm 'x', unit 3, node n: cannot\nTraceback: y$"):
        first.result()


def test_the_token_travels_in_no_field_of_a_job(tmp_path, faked, jobs):
    faked.submit(builders.write_experiment(tmp_path), metadata={"team": "vision"})
    (sent,) = jobs.submitted
    assert "s3cret-token" not in json.dumps(sent)
    assert sent["metadata"]["team"] == "vision"
    assert sent["runtime_env"]["env_vars"]["RAY_AUTH_MODE"] == "token"
    assert "s3cret-token" not in client._ENTRYPOINT


def test_the_token_is_found_where_ray_finds_it(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert ray_jobs.token_of_environment() == "from-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-variable")
    assert ray_jobs.token_of_environment() == "from-variable"
