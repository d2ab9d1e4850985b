"""Variants that draw random numbers: rows are scored several times, and the spread of the repeats is kept and shown."""

import io
import json
import statistics
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from assay.cluster import pipeline
from assay.cluster.prepare import throughput_history
from assay.cluster.report.record import document
from assay.cluster.report.terminal import verdict
from assay.cluster.verify import verify
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.past_runs import PastRuns
from assay.manifests import ManifestError
from assay.manifests.run_report import RunReport
from tests import builders
from tests.end_to_end.test_any_order import UnrulyExecutor
from tests.score_tables import score_tables

CODE = """
import numpy as np
import torch

def noisy(features):
    x = features["x"]
    return np.where((x > 0.5) ^ (np.random.random(len(x)) < 0.2), 0.9, 0.1)

class Dropping(torch.nn.Module):
    def forward(self, x):
        kept = torch.nn.functional.dropout(torch.ones_like(x), p=0.2, training=True) > 0
        towards_one = torch.where(kept, x - 0.5, 0.5 - x)
        return torch.stack([-towards_one, towards_one], dim=1)

def dropping():
    return Dropping()
"""
WRONG = 0.2
"""The probability that a row is wrong, independently for each row and repeat; the same for both variants."""
NUM_ROWS = 200
NOISY = {**builders.variant(), "entrypoint": "variants_with_noise:noisy"}
DROPPING = {**NOISY, "predictor": "torch", "entrypoint": "variants_with_noise:dropping", "output": "logits"}
ARMS = {"control": builders.variant(flip_every=5), "noisy": NOISY, "dropping": {**DROPPING, "inputs": ["x"]}}


def prepared(folder: Path, *, arms=ARMS, replicas: int = 1, **suite):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "variants_with_noise.py").write_text(CODE)
    metrics = [metric for metric in builders.SUITE["metrics"] if metric["measure"] != "auroc"]
    given = {**builders.SUITE, "metrics": metrics, **suite}
    resources = {"replicas": replicas, "max_attempts": 50}
    return pipeline.prepare(str(builders.write_experiment(folder, arms=arms, suite=given, resources=resources)))


def run(ready, on_progress=lambda arm, units: None) -> dict:
    pipeline.run(ready, in_process=True, on_progress=on_progress)
    return document(ready.store, ready.run.run_id).plain()


def arm_of(report: dict, name: str) -> dict:
    return next(arm for arm in report["arms"] if arm["arm"] == name)


def repeat_values(ready, arm: str) -> list[float]:
    files = reader.committed_files(ready.store, ready.run.run_id)
    rows = reader.read_table(ready.store, files, "metrics").to_pylist()
    return next(row["repeat_values"] for row in rows if (row["arm"], row["metric"]) == (arm, "accuracy"))


def row_scores(ready, arm: str) -> np.ndarray:
    files = reader.committed_files(ready.store, ready.run.run_id)
    return np.concatenate([table["score_accuracy"] for table in score_tables(ready.store, files, arm)])


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    ready = prepared(tmp_path_factory.mktemp("repeated"), repeats=4, seed=5)
    return ready, run(ready)


def test_scores_are_the_same_on_any_slots_in_any_order_and_after_a_stop(repeated, tmp_path, monkeypatch):
    _, report = repeated
    many = prepared(tmp_path / "many", repeats=4, seed=5, replicas=3)
    with monkeypatch.context() as patched:
        patched.setattr(
            pipeline, "open_executor", lambda _work, **_options: nullcontext(UnrulyExecutor(3, num_slots=3))
        )
        assert run(many)["scores_digest"] == report["scores_digest"]

    num_done = []

    def stop_after_ten(arm, units):
        num_done.append(arm)
        if len(num_done) == 10:
            raise KeyboardInterrupt

    stopped = prepared(tmp_path / "stopped", repeats=4, seed=5)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, stop_after_ten)
    assert not reader.is_committed(stopped.store, stopped.run.run_id)
    assert run(stopped)["scores_digest"] == report["scores_digest"]


@pytest.mark.parametrize("arm", ["noisy", "dropping"])
def test_each_pass_is_what_a_run_of_its_own_seed_gives(repeated, tmp_path, arm):
    ready, report = repeated
    alone = []
    for seed in (5, 6, 7, 8):
        one = run(prepared(tmp_path / str(seed), arms={"control": ARMS["control"], arm: ARMS[arm]}, seed=seed))
        assert arm_of(one, arm)["repeat_std"] == {}
        alone.append(arm_of(one, arm)["metrics"]["accuracy"])
    assert repeat_values(ready, arm) == pytest.approx(alone, abs=1e-12)
    found = arm_of(report, arm)
    assert found["metrics"]["accuracy"] == pytest.approx(statistics.mean(alone), abs=1e-12)
    assert found["repeat_std"]["accuracy"] == pytest.approx(statistics.stdev(alone), abs=1e-12)
    assert found["repeat_std"]["accuracy"] > 0


@pytest.mark.parametrize("arm", ["noisy", "dropping"])
def test_the_spread_and_the_noise_that_is_left_are_those_of_independent_passes(tmp_path, arm):
    """Rows are Bernoulli(w): a repeat's accuracy has variance w (1 - w) / n, a row's mean of k repeats w (1 - w) / k."""
    arms = {"control": ARMS["control"], arm: ARMS[arm]}
    variance = WRONG * (1 - WRONG)
    left = {}
    for repeats in (1, 16):
        ready = prepared(tmp_path / str(repeats), arms=arms, repeats=repeats)
        report = run(ready)
        left[repeats] = float(np.var(row_scores(ready, arm) - (1 - WRONG)))
        assert left[repeats] == pytest.approx(variance / repeats, rel=0.4)  # three standard errors for 200 rows
    assert left[16] < left[1] / 8
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], df=15) / 15 * variance / NUM_ROWS
    assert low < arm_of(report, arm)["repeat_std"]["accuracy"] ** 2 < high


def test_the_spread_is_shown_and_averages_are_compared_as_numbers(repeated):
    _, report = repeated
    analysis = report["analysis"]
    assert (report["num_repeats"], analysis["num_repeats"]) == (4, 4)
    assert {each["method"] for each in analysis["comparisons"]} == {"max_t"}
    assert any("so they were compared as continuous scores" in words for words in analysis["warnings"])
    printed = io.StringIO()
    verdict.show(RunReport.model_validate_json(json.dumps(report)), Console(file=printed, width=80))
    _, _, table = printed.getvalue().partition("std. deviation over 4 repeats")
    assert f"{arm_of(report, 'noisy')['repeat_std']['accuracy']:.4g}" in table


def test_a_variant_without_chance_scores_as_in_one_pass_and_has_no_spread(repeated, tmp_path):
    _, report = repeated
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant()}
    once = run(prepared(tmp_path / "once", arms=arms))
    thrice = run(prepared(tmp_path / "thrice", arms=arms, repeats=3))
    assert thrice["scores_digest"] == once["scores_digest"]
    assert [arm["repeat_std"] for arm in thrice["arms"]] == [{"accuracy": 0.0, "log_loss": 0.0}] * 2
    assert [arm["batch_sensitivity"]["noise_floor"] for arm in thrice["arms"]] == [0.0, 0.0]
    assert arm_of(report, "control")["scores_digest"] == arm_of(once, "control")["scores_digest"]


def test_units_are_taken_over_only_where_they_were_repeated_as_often(tmp_path):
    first = run(prepared(tmp_path, repeats=2))
    more = {**ARMS, "better": builders.variant()}
    again = run(prepared(tmp_path, arms=more, repeats=2))
    assert again["reused"]["num_arms"] == 3
    assert arm_of(again, "noisy")["repeat_std"] == arm_of(first, "noisy")["repeat_std"]
    assert run(prepared(tmp_path, arms=more, repeats=3))["reused"]["num_arms"] == 0


@pytest.mark.parametrize("against", ["ledger", "itself"])
def test_scoring_again_matches_to_the_last_bit(repeated, against):
    ready, _ = repeated
    found = verify.verify(ready.store, ready.run.run_id, against=against, in_process=True).comparison
    assert (found.outcome, [arm.num_rows_different for arm in found.arms]) == ("matched", [0, 0, 0])


def test_metrics_without_scores_of_rows_cannot_be_repeated(tmp_path):
    with pytest.raises(ManifestError, match=r"repeats is 3, but 'auroc' \(auroc\) have no row scores") as refused:
        prepared(tmp_path, metrics=builders.SUITE["metrics"], repeats=3)
    assert "use 'repeats: 1'" in str(refused.value)


def test_what_passes_cost_is_told_from_runs_with_fewer(tmp_path):
    once = prepared(tmp_path)
    run(once)
    often = prepared(tmp_path, repeats=4)
    of_one, of_four = (throughput_history.paces(ready.run, PastRuns(ready.store)) for ready in (once, often))
    for arm in ARMS:
        assert of_four[arm].seconds_per_row == pytest.approx(4 * of_one[arm].seconds_per_row)
        assert of_four[arm].setup_s == of_one[arm].setup_s
