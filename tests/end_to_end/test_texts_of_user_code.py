"""User code may raise and say anything: that costs its arm only, and what is recorded of it is clean, short and no secret."""

from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.commit import gate_review
from assay.cluster.commit.gate_answer import gate_answer
from assay.cluster.report.markdown import pull_request_comment
from assay.cluster.report.record import document
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.reader import recorded_progress
from tests import builders

SECRET = "abc/def+ghi-of-the-cluster"
CODE = """
import os

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no")

class Own(BaseException):
    pass

def fail(features, *, how):
    num_rows = len(features["x"])
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    errors = {
        "surrogate": lambda: RuntimeError("half \\ud800 of a pair"),
        "controls": lambda: RuntimeError("\\0 \\x1b[2J \\u202e"),
        "huge": lambda: RuntimeError("x" * 5_000_000),
        "silent": lambda: Silent(),
        "secret": lambda: RuntimeError(f"s3://AKIA:{secret}@bucket/?X-Amz-Signature=0123456789"),
        "exit": lambda: SystemExit(0),
        "own": lambda: Own("b"),
    }
    if how in errors:
        raise errors[how]()
    return {"output": [None] * num_rows, "status": ["error"] * num_rows, "reason": ["\\ud800" + secret + "r" * 1_000_000] * num_rows}
"""
WORDS = {
    "surrogate": r"RuntimeError: half \ud800 of a pair",
    "controls": r"RuntimeError: \x00 \x1b[2J \u202e",
    "huge": "characters, at most 2,000 are kept]",
    "silent": "Silent: (a Silent, whose __str__ raises RuntimeError)",
    "secret": "s3://[redacted]@bucket/?X-Amz-Signature=[redacted]",
    "exit": "SystemExit: 0",
    "own": "Own: b",
    "reasons": r"error: \ud800[redacted]rrr",
}


@pytest.fixture
def ran(tmp_path, monkeypatch) -> pipeline.Prepared:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    (tmp_path / "evil_under_test.py").write_text(CODE)
    evil = {
        how: {**builders.variant(how=how), "entrypoint": "evil_under_test:fail"} for how in WORDS
    }  # each fails in its own way
    arms = {"control": builders.ARMS["control"], "better": builders.ARMS["better"], **evil}
    experiment = builders.write_experiment(tmp_path, arms=arms, num_rows=32, resources={"max_attempts": 1})
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


def test_evil_texts_cost_their_arm_only_and_are_recorded_clean_short_and_redacted(ran, tmp_path):
    report = document(ran.store, ran.run.run_id)
    reasons = {arm.arm: arm.reason for arm in report.arms}
    assert (reasons.pop("control"), reasons.pop("better")) == ("", "")
    assert {how for how, words in WORDS.items() if words not in reasons[how]} == set()
    progress = recorded_progress(ran.store, ran.run.run_id)
    comment = pull_request_comment(gate_answer(gate_review.review_run(CommittedRun(ran.store, ran.run.run_id))))
    for text in (report.model_dump_json(), progress.model_dump_json(), comment):
        assert not {"\x1b", "\u202e", "\0", "\ud800"} & set(text)
        assert "ghi-of-the-cluster" not in text
    assert max(len(reason) for reason in reasons.values()) < 10_000
    assert max(len(event.message) for event in report.events) <= 10_000
    files = [path for path in Path(tmp_path, "ledger").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 200_000
    assert [path for path in files if b"ghi-of-the-cluster" in path.read_bytes()] == []
