"""Experiments submitted over HTTP: to a real Ray head with token authentication, and, without one, what is refused."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ray.job_submission import JobDetails, JobType
from typer.testing import CliRunner

from cluster import Client, cli, cli_jobs, client, pipeline, ray_jobs
from cluster.errors import RunError
from cluster.report.document import document
from evaluator.ledger import reader
from manifests import InvalidInput
from manifests.ledger import cancel_key, submission_key
from tests import builders

BIN = Path(sys.executable).parent
SLOW = """

def slow(features):
    # Over half a second for a unit, and no time for the rows of the probe, which come one by one.
    return threshold(features, delay_s=0.15 if len(features["x"]) > 1 else 0.0)
"""
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@dataclass(frozen=True)
class Head:
    address: str
    token: str
    folder: Path

    def client(self) -> Client:
        return Client(self.address, self.token)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A Ray head of our own on free ports, with token authentication."""
    for attempt in (1, 2):  # under load, Ray gives up on its own start after 30 s
        with started_head() as found:
            if found is not None:
                yield found
                return
            assert attempt == 1, "Ray did not start"


@contextmanager
def started_head() -> Iterator[Head | None]:
    folder = Path(tempfile.mkdtemp(prefix="assay-ray-", dir="/tmp"))  # Ray's socket names must stay short
    token = secrets.token_hex(32)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_memory_monitor_refresh_ms": "0",  # a shared machine: others fill its memory
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    ports = ("port", "dashboard-agent-listen-port", "ray-client-server-port")
    command = [BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=2"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={port}", f"--temp-dir={folder}"]
    command += [f"--{name}={free_port()}" for name in ports]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={100 << 20}"]
    log = (folder / "start.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    found = Head(f"http://127.0.0.1:{port}", token, folder)
    try:
        yield found if is_up(found, process) else None
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def is_up(head: Head, process: subprocess.Popen, *, within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(head.address.rpartition(":")[2]))) == 0:
                try:
                    head.client().find("nothing-yet")
                except InvalidInput:
                    return True
                except RunError:
                    pass
        time.sleep(0.25)
    return False


def processes_of(folder: Path) -> list[int]:
    """What this head has left behind: known by its own folder on the command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{folder}/".encode() in command or f"{folder}\0".encode() in command:
                found.append(int(entry.name))
    return found


def with_code_apart(folder: Path, **options) -> tuple[Path, Path]:
    """An experiment, and the folder with the code that its entrypoints name: nowhere near the experiment."""
    experiment = builders.write_experiment(folder / "experiment", **options)
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (folder / "experiment" / "variants_under_test.py").replace(code / "variants_under_test.py")
    return experiment, code


def variables(head: Head) -> dict[str, str]:
    return {"RAY_AUTH_TOKEN": head.token, "RAY_API_SERVER_ADDRESS": head.address}


def submit_and_die(head: Head, *arguments: object) -> dict:
    """What `assay submit` answers, in a process of its own that is gone afterwards."""
    command = [sys.executable, "-m", "cluster.cli", "submit", *map(str, arguments), "--json"]
    environment = {**os.environ, **variables(head)}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def verb(head: Head, *arguments: str) -> str:
    answer = CliRunner().invoke(cli.app, list(arguments), env=variables(head), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


# ---- on a real head


@pytest.mark.ray
@pytest.mark.slow
def test_a_submission_outlives_its_client_and_is_found_joined_and_read(tmp_path, head):
    experiment, code = with_code_apart(tmp_path)
    submitted = submit_and_die(head, experiment, "--working-dir", code, "--name", "first")

    found = head.client().find("first")  # that client's process is gone
    assert found.submission_id == submitted["submission_id"]
    joined = head.client().submit(experiment, working_dir=code, name="first")
    assert joined.submission_id == found.submission_id
    assert found.wait(timeout_s=60) == "succeeded"

    progress = found.progress()
    assert progress is not None
    assert (progress.state, progress.num_units_done, progress.num_rows_done) == ("committed", 28, 800)
    result = found.result()
    assert result.run_id == progress.run_id == found.run_id
    assert {each.arm: each.decision for each in result.decisions}["better"] == "promote"
    assert result.gate == "promote"
    assert set(result.comparisons["arm"]) == {"better", "worse", "again"}

    alone = tmp_path / "alone"
    prepared = pipeline.prepare(str(builders.write_experiment(alone)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    report = json.loads(verb(head, "result", "first", "--json"))
    assert report["scores_digest"] == document(prepared.store, prepared.run.run_id)["scores_digest"]

    assert head.client().submit(experiment, working_dir=code, name="first").submission_id == found.submission_id
    assert len([job for job in head.client()._jobs.all() if job.submission_id]) == 1
    assert "28 of 28 units, 800 rows" in verb(head, "status", "first")
    log = verb(head, "logs", "first", "--no-follow")
    assert result.run_id in log
    (job,) = head.client()._jobs.all()
    stored = b"".join(path.read_bytes() for path in Path(found.ledger).rglob("*") if path.is_file())
    for place in (log, job.model_dump_json(), stored.decode(errors="replace")):
        assert head.token not in place


@pytest.mark.ray
@pytest.mark.slow
def test_a_cancelled_submission_keeps_its_units_and_the_next_one_goes_on(tmp_path, head):
    arms = {"control": builders.ARMS["control"], "better": builders.variant("slow")}
    experiment, code = with_code_apart(tmp_path, arms=arms)
    with (code / "variants_under_test.py").open("a") as file:
        file.write(SLOW)
    first = head.client().submit(experiment, working_dir=code, name="slow")
    deadline = time.monotonic() + 60
    while not ((progress := first.progress()) and progress.num_units_done):
        assert time.monotonic() < deadline, first.status()
        time.sleep(0.1)
    assert first.cancel() == "cancelled"
    assert first.status() == "cancelled"
    with pytest.raises(RunError, match="was cancelled; submit it again"):
        first.result()
    store = first._store
    kept = {unit.key: unit.sha256 for unit in reader.published_units(store, str(first.run_id))}
    assert 0 < len(kept) < 14
    cancelled = first.progress()
    assert cancelled is not None
    assert cancelled.state == "cancelled"

    second = head.client().submit(experiment, working_dir=code, name="slow")
    assert second.submission_id == f"{first.submission_id}.2"
    assert second.wait(timeout_s=60) == "succeeded"
    assert second.run_id == first.run_id
    files = {file.key: file.sha256 for file in reader.committed_files(store, str(second.run_id))}
    assert kept.items() <= files.items()


@pytest.mark.ray
@pytest.mark.slow
def test_a_failure_over_there_is_told_in_our_words(tmp_path, head):
    experiment, _ = with_code_apart(tmp_path)
    submission = head.client().submit(experiment, name="no-code")  # the code stays here
    assert "variants_under_test" in "".join(submission.logs(follow=True))  # from before it runs until it has ended
    assert submission.status() == "failed"
    with pytest.raises(RunError, match=r"(?s)no-code-.* it failed: .*arm 'control'.*variants_under_test"):
        submission.result()
    with pytest.raises(InvalidInput, match=r"no submission of this name.*did you mean 'no-code'"):
        head.client().find("no-cod")


@pytest.mark.ray
@pytest.mark.slow
def test_a_wrong_token_and_none_say_which_variable_to_set(head, monkeypatch):
    for token, words in (("wrong" * 12, "does not take this token"), (None, "wants a token")):
        with pytest.raises(RunError, match=f"{words}; set RAY_AUTH_TOKEN") as refused:
            Client(head.address, token).find("first")
        assert "wrong" not in str(refused.value)
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    with pytest.raises(InvalidInput, match="no submission of this name"):
        Client(head.address).find("never-submitted")


# ---- without one


def test_importing_cluster_does_not_import_ray():
    code = "import sys, cluster, cluster.cli; sys.exit(any(name in sys.modules for name in ('ray', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b",  # leaves a job at Ray that never ends
        "a b",
        "-a",
        "ä",
        "a\n",  # which `$` would let pass
        "$(id)",
        "x" * 102,
        "x" * 95,  # has to leave room for the digest
    ],
)
def test_a_name_that_cannot_be_an_id_is_refused_before_anybody_is_asked(tmp_path, name):
    experiment = builders.write_experiment(tmp_path)
    with pytest.raises(InvalidInput, match="name: cannot be an id"):
        Client(NOWHERE).submit(experiment, name=name)


@pytest.mark.parametrize("address", ["ray://head:10001", "head:8265", "http://", "auto", ""])
def test_an_address_that_is_not_a_dashboard_is_refused(address):
    with pytest.raises(InvalidInput, match="allowed: http://HEAD:8265"):
        Client(address)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metadata": {"note": "it is s3cret-token!"}}, "metadata: holds the cluster's token"),
        ({"runtime_env": {"env_vars": {"TOKEN": "s3cret-token"}}}, "runtime_env: holds the cluster's token"),
        ({"metadata": {"assay_name": "other"}}, "metadata.assay_name: this name is taken"),
        ({"metadata": {"number": 1}}, "metadata.number: metadata is texts"),
        ({"runtime_env": {"working_dir": "."}}, "runtime_env.working_dir"),
        ({"working_dir": "no/such/folder"}, "working_dir: no such folder"),
        ({"ledger": "memory://here"}, "ledger: the cluster cannot reach"),
    ],
)
def test_what_must_not_or_cannot_travel_is_refused(tmp_path, options, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        Client(NOWHERE, "s3cret-token").submit(builders.write_experiment(tmp_path), **options)
    assert "s3cret-token" not in str(refused.value)


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


class FakeJobs:
    """Ray's side, without Ray: jobs by id, and what was submitted."""

    address = "http://fake"

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.submitted: list[dict] = []
        self.stopped: list[str] = []

    def job(self, submission_id):
        if submission_id not in self.jobs:
            return None
        message = "exit code 1, last logs:\nsome line\nerror: arm 'x', unit 3, node n: cannot\nTraceback: y"
        status = self.jobs[submission_id]
        return JobDetails(
            type=JobType.SUBMISSION, submission_id=submission_id, status=status, message=message, entrypoint="run"
        )

    def submit(self, submission_id, *, entrypoint, runtime_env, metadata):
        self.submitted.append({"id": submission_id, "runtime_env": runtime_env, "metadata": metadata})
        self.jobs[submission_id] = "PENDING"
        return True

    def all(self):
        found = []
        for sent in self.submitted:
            job = self.job(sent["id"])
            assert job is not None
            found.append(job.model_copy(update={"metadata": sent["metadata"], "start_time": len(found)}))
        return found

    def stop(self, submission_id):
        self.stopped.append(submission_id)
        self.jobs[submission_id] = "STOPPED"

    def logs(self, submission_id):
        return "all of it"


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def faked(jobs) -> Client:
    found = Client(NOWHERE, "s3cret-token")
    found._jobs = jobs
    return found


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
    assert jobs.jobs[first.submission_id] == "PENDING"  # and so it stays at Ray, until its driver finds the marker
    assert first._store.exists(cancel_key(first.submission_id))
    assert faked.submit(experiment).submission_id == f"{first.submission_id}.2"


def test_a_driver_that_does_not_end_by_itself_is_stopped(tmp_path, faked, jobs):
    first = faked.submit(builders.write_experiment(tmp_path))
    jobs.jobs[first.submission_id] = "RUNNING"
    assert first.cancel(grace_s=0.1) == "cancelled"
    assert jobs.stopped == [first.submission_id]


def test_the_verbs_are_the_client(tmp_path, faked, jobs, monkeypatch):
    monkeypatch.setattr(cli_jobs, "_client", lambda address: faked)
    experiment = str(builders.write_experiment(tmp_path))

    def answer(*arguments: str) -> dict:
        found = CliRunner().invoke(cli.app, [*arguments, "--json"], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    submitted = answer("submit", experiment, "--name", "mine")
    assert submitted["name"] == "mine"
    assert answer("status", "mine") == {
        "submission_id": submitted["submission_id"],
        "status": "pending",
        "progress": None,
    }
    assert answer("cancel", submitted["submission_id"])["status"] == "cancelled"
    told = CliRunner().invoke(cli.app, ["logs", "mine"], catch_exceptions=False)
    assert told.stdout == "all of it"


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
    with pytest.raises(RunError, match=r"no result yet: it is pending; wait\(\) for it"):
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
    with pytest.raises(RunError, match=r"still pending after 0.1 s; it goes on"):
        faked.submit(builders.write_experiment(tmp_path)).wait(timeout_s=0.1)


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
