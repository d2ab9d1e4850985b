"""No secret of the environment ends up in anything that a run leaves behind."""

import base64
import io
import pickle
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq
import pytest
import requests

from assay import Client
from assay.cluster.client.submission import Submission
from assay.cluster.report.record import document
from assay.evaluator.storage import open_store
from assay.manifests.progress import Progress
from tests import builders
from tests.ray_head import Head, with_code_apart
from tests.seaweed import BUCKET, SECRET_KEY

pytestmark = pytest.mark.ray
LATE = """

def late(features):
    return threshold(features, delay_s=0.6 if len(features["x"]) > 1 else 0.0)
"""


@dataclass(frozen=True)
class Ended:
    """A submission that Ray has stopped, and the secrets in the environments of head and client.

    Attributes:
        head: The head that it ran on.
        submission: The submission.
        last: The last progress that its driver reported.
        planted: The secrets, by their descriptions.
    """

    head: Head
    submission: Submission
    last: Progress
    planted: dict[str, str]


@pytest.fixture(scope="module")
def ended(tmp_path_factory, head: Head) -> Iterator[Ended]:
    """One run with everything: a ledger that needs credentials, an arm that fails, a SIGTERM before the end."""
    folder = tmp_path_factory.mktemp("secrets")
    arms = {name: builders.ARMS[name] for name in ("control", "better")}
    arms |= {"broken": builders.variant("raises", above=0.9), "late": builders.variant("late")}
    resources = {"max_slots": 1, "max_attempts": 1}
    ledger = f"s3://{BUCKET}/secrets-{secrets.token_hex(4)}"
    experiment, code = with_code_apart(folder, arms=arms, resources=resources, ledger=ledger)
    with (code / "variants_under_test.py").open("a") as file:
        file.write(LATE)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in head.variables.items():
            patch.setenv(name, value)
        submission = Client(head.address).submit(experiment, working_dir=code, name="secrets")
        for progress in submission.stream(timeout_s=90):
            if progress.arms[-1].num_units_done:
                submission._jobs.stop(submission.submission_id)  # SIGTERM, as from an operator
        password = head.variables["DATABASE_PASSWORD"]
        planted = {"token": head.token, "password": password, "secret access key": SECRET_KEY}
        yield Ended(head, submission, progress, planted)


def test_a_run_that_ray_stops_has_committed_what_was_whole(ended):
    assert ended.submission.status() == "stopped"
    assert ended.last.state == "stopped"
    result = ended.submission.result()
    assert {each.arm: each.status for each in result.missing} == {"broken": "failed", "late": "stopped"}
    reasons = {each.arm: each.reason for each in result.missing}
    assert "cannot take this batch" in reasons["broken"]
    assert "SIGTERM" in reasons["late"]
    assert set(result.comparisons["arm"]) == {"better"}


def test_no_secret_is_in_the_ledger(ended):
    store = open_store(ended.submission.ledger)
    found = {entry.key: store.get(entry.key).to_pybytes() for entry in store.listing("")}
    assert {key.split("/")[1] for key in found} >= {"FORMAT.json", "runs", "data", "commits", "progress", "submissions"}
    for key, content in found.items():
        assert_holds_none(ended, key, content)
        if key.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(content))
            assert_holds_none(ended, key, repr((table.schema.metadata, table.to_pylist())).encode())
    assert_holds_none(ended, "the report", repr(document(store, ended.last.run_id).plain()).encode())


def test_no_secret_is_in_what_ray_tells_of_the_job(ended):
    headers = {"Authorization": f"Bearer {ended.head.token}"}
    submission_id = ended.submission.submission_id
    for place in ("jobs/", f"jobs/{submission_id}", f"jobs/{submission_id}/logs"):
        answer = requests.get(f"{ended.head.address}/api/{place}", headers=headers, timeout=10)
        assert submission_id in answer.text
        assert_holds_none(ended, place, answer.content)


def test_no_secret_is_in_the_folder_of_the_cluster(ended):
    files = [path for path in ended.head.folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert f"job-driver-{ended.submission.submission_id}.log" in names
    assert any(name.startswith("worker-") for name in names)
    assert "assay-experiment.json" in names  # the uploaded experiment
    for path in files:
        assert_holds_none(ended, str(path), path.read_bytes())


def test_no_secret_is_in_a_pickle(ended):
    there = ended.head.client()
    assert ended.submission.run_id  # its store is open
    for each in (there, there.find("secrets"), ended.submission):
        assert_holds_none(ended, type(each).__name__, pickle.dumps(each))
    opened = pickle.loads(pickle.dumps(ended.submission))
    assert opened.status() == "stopped"  # with the token of the environment


def assert_holds_none(ended: Ended, place: str, content: bytes) -> None:
    for name, secret in ended.planted.items():
        for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-1]):
            assert form not in content, f"the {name} is in {place}"
