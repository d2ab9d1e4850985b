"""A committed run is scored again: it matches bit for bit, or the differences and the changes are named."""

import hashlib
import json
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.errors import RunError
from assay.cluster.verify import verify as verification
from assay.evaluator import batches
from assay.evaluator.ledger import log_chain, reader, version_log
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import open_store
from assay.manifests import InvalidInput
from assay.manifests.run import Run
from tests import builders

# Each test that changes code uses a separate module, because Python caches imports.
LINEAR = """
import torch

def linear():
    return torch.nn.Sequential(torch.nn.Unflatten(0, (-1, 1)), torch.nn.Linear(1, 2)).double()
"""


def committed(folder: Path, **more) -> Run:
    prepared = pipeline.prepare(str(builders.write_experiment(folder, **more)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared.run


def linear_arms(folder: Path) -> dict[str, dict]:
    """Two logistic regressions of x with different weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "linear_under_test.py").write_text(LINEAR)
    arms = {}
    for name, slope in (("control", 8.0), ("steeper", 9.0)):
        weights = {"1.weight": torch.tensor([[-slope], [slope]]), "1.bias": torch.tensor([slope / 2, -slope / 2])}
        path = folder / f"{name}.safetensors"
        safetensors.torch.save_file({key: value.double() for key, value in weights.items()}, path)
        arms[name] = {
            **builders.variant(),
            "predictor": "torch",
            "entrypoint": "linear_under_test:linear",
            "weights": path.name,
            "inputs": ["x"],
            "output": "logits",
        }
    return arms


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return committed(tmp_path_factory.mktemp("verified"))


def verify(run: Run, **options) -> verification.RunVerification:
    return verification.verify(open_store(run.experiment.ledger), run.run_id, in_process=True, **options)


def scored_files(run: Run) -> dict[str, str]:
    folder = Path(run.experiment.ledger, "v2", "data")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.parquet"))}


def test_a_run_matches_to_the_last_bit_and_no_score_is_written(run):
    before = scored_files(run)
    found = verify(run)
    assert found.comparison.outcome == "matched"
    assert {arm.arm: (arm.num_rows, arm.num_rows_different) for arm in found.comparison.arms} == dict.fromkeys(
        ("control", "better", "worse", "again"), (200, 0)
    )
    assert found.comparison.changed == ()
    assert scored_files(run) == before
    store = open_store(run.experiment.ledger)
    assert log_chain.entries(store)[-1] == found.entry
    repeated = version_log.repetition(CommittedRun(store, run.run_id))
    assert repeated == version_log.Repetition(dict.fromkeys(("control", "better", "worse", "again"), 200))
    assert verify_ledger(store).problems == ()


def test_a_sample_is_whole_units_no_more_than_needed_and_part_of_a_larger_one():
    units = batches.units(200, batch_size=32)
    firsts = set()
    for seed in range(20):
        drawn = {
            num_rows: verification._drawn(units, num_rows, digest=f"sha256:{seed:064x}")
            for num_rows in (1, 32, 33, 100, 200, 999)
        }
        for num_rows, found in drawn.items():
            covered = sum(units[index].num_rows for index in found)
            assert min(num_rows, 200) <= covered < num_rows + 32
        assert all(set(fewer) <= set(more) for fewer, more in pairwise(drawn.values()))
        assert drawn[999] == list(range(7))
        firsts.add(tuple(drawn[1]))
    assert len(firsts) > 1


def test_a_run_is_always_sampled_alike(run):
    digest = reader.read_run(open_store(run.experiment.ledger), run.run_id).digest()
    units = batches.units(200, batch_size=32)
    drawn = verification._drawn(units, 33, digest=digest)
    for _ in range(2):
        (arm,) = verify(run, num_rows=33, arm="better").comparison.arms
        assert (arm.num_units, arm.num_rows) == (len(drawn), sum(units[index].num_rows for index in drawn))


def test_every_row_is_really_scored_again(tmp_path):
    calls = tmp_path / "calls.txt"
    arms = {"control": builders.variant(log=str(calls)), "other": builders.variant(flip_every=3)}
    run = committed(tmp_path / "run", arms=arms)
    first = builders.evaluated_batches(calls)
    calls.unlink()
    assert verify(run).comparison.outcome == "matched"
    assert builders.evaluated_batches(calls) == first


def test_one_weight_changed_by_a_thousandth_differs_and_names_the_artifact(tmp_path):
    run = committed(tmp_path, arms=linear_arms(tmp_path))
    assert verify(run).comparison.outcome == "matched"
    path = tmp_path / "steeper.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["1.weight"][1, 0] += 1e-3
    safetensors.torch.save_file(weights, path)
    found = verify(run, tolerance=1e-3).comparison
    assert found.outcome == "differs"
    by_arm = {arm.arm: arm for arm in found.arms}
    assert by_arm["control"].num_rows_different == 0
    steeper = by_arm["steeper"]
    assert 0 < steeper.num_rows_different <= 200
    # The logit of class 1 changes by x / 1000 with x < 1, and its probability by at most a quarter of that.
    assert 0 < steeper.columns["probabilities"] <= 2.5e-4
    assert len(steeper.row_ids) == 5
    assert all(row_id.startswith("row-") for row_id in steeper.row_ids)
    (change,) = found.changed
    assert change.field == f"arms.steeper.weights ({path})"
    assert change.recorded == run.experiment.arms[1].variant.weights_digest
    assert change.now == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert found.is_close == (set(steeper.columns) <= {"probabilities", "score_log_loss"})
    store = open_store(run.experiment.ledger)
    assert version_log.repetition(CommittedRun(store, run.run_id)).differing == ("steeper",)


def test_a_package_of_another_version_is_named_though_the_scores_match(run, tmp_path, monkeypatch):
    info = tmp_path / "scipy-999.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy\nVersion: 999.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = verify(run, num_rows=1).comparison
    assert found.outcome == "matched"
    recorded = run.lineage.circumstance["packages"]["scipy"]
    assert [(change.field, change.recorded, change.now) for change in found.changed] == [
        ("packages.scipy", recorded, "999.0")
    ]


def test_a_package_that_scores_pass_through_is_named_by_driver_and_slots(run, tmp_path, monkeypatch):
    info = tmp_path / "pyarrow-999.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pyarrow\nVersion: 999.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    fields = [change.field for change in verify(run, num_rows=1).comparison.changed]
    assert fields == ["environment.pyarrow"]


STATEFUL = '''
    import time
    import numpy as np

    SEEN = {}

    def honest(features):
        return np.where(features["x"] > 0.5, 0.9, 0.1)

    def drifting(features, calls=[0]):
        """Predictions differ from call to call."""
        calls[0] += 1
        return np.where(features["x"] > 0.5, 0.9, 0.1) - 1e-9 * calls[0]

    def remembering(features):
        """Predictions are the same, but those of batches it has seen are cached."""
        key = features["x"].tobytes()
        if key not in SEEN:
            time.sleep(0.02)
            SEEN[key] = honest(features)
        return SEEN[key]
'''


def test_the_same_rows_twice_catches_what_changes_with_use_and_hints_at_what_remembers(tmp_path):
    arms = {
        name: {**builders.variant(), "entrypoint": f"stateful_under_test:{name}"}
        for name in ("honest", "drifting", "remembering")
    }
    arms = {"control": arms.pop("honest"), **arms}
    (tmp_path / "stateful_under_test.py").write_text(textwrap.dedent(STATEFUL))
    run = committed(tmp_path, arms=arms)
    import stateful_under_test

    stateful_under_test.SEEN.clear()  # as in a separate process
    found = verify(run, against="itself")
    by_arm = {arm.arm: arm for arm in found.comparison.arms}
    assert by_arm["control"].num_rows_different == 0
    assert by_arm["drifting"].num_rows_different == 200
    assert by_arm["drifting"].columns["probabilities"] > 0
    assert by_arm["remembering"].num_rows_different == 0
    (hint,) = found.hints
    assert hint.startswith("arm 'remembering' took")
    repeated = version_log.repetition(CommittedRun(open_store(run.experiment.ledger), run.run_id))
    assert repeated.differing == ("drifting",)


def test_an_arm_that_cannot_be_scored_again_is_unknown_rather_than_different(tmp_path):
    run = committed(tmp_path, arms=linear_arms(tmp_path))
    store = open_store(run.experiment.ledger)
    (tmp_path / "steeper.safetensors").unlink()
    found = verify(run)
    assert [arm.arm for arm in found.comparison.arms] == ["control"]
    assert found.comparison.outcome == "matched"
    assert "the file does not exist" in found.failed["steeper"]
    assert version_log.repetition(CommittedRun(store, run.run_id)) == version_log.Repetition({"control": 200})
    with pytest.raises(RunError, match="was not verified: no arm could be scored again: arm 'steeper': "):
        verify(run, arm="steeper")
    assert [entry.kind for entry in log_chain.entries(store)] == ["commit", "verification"]


def test_an_arm_that_was_not_measured_is_refused(run):
    with pytest.raises(InvalidInput, match="did you mean 'better'"):
        verify(run, arm="beter")


def test_the_command_answers_with_an_exit_code_and_words(tmp_path, monkeypatch):
    run = committed(tmp_path, arms=linear_arms(tmp_path))
    monkeypatch.chdir(tmp_path)
    fine = CliRunner().invoke(main.app, ["verify", run.run_id, "--rows", "199", "--in-process"])
    assert fine.exit_code == 0, fine.output
    assert "  control: 200 of 200 rows, bit-identical" in fine.stdout
    assert fine.stdout.endswith(f"matched: run {run.run_id}, log entry 2\n")
    path = tmp_path / "steeper.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["1.bias"] += 1e-3 * torch.tensor([0.0, 1.0]).double()
    safetensors.torch.save_file(weights, path)
    changed = CliRunner().invoke(main.app, ["verify", run.run_id, "--in-process"])
    assert changed.exit_code == 1, changed.output
    assert "  steeper: 200 of 200 rows, 200 differ: probabilities by up to " in changed.stdout
    assert "  within the tolerance of 0: no\n" in changed.stdout
    assert f"  arms.steeper.weights ({path}): sha256:" in changed.stdout
    answer = CliRunner().invoke(main.app, ["verify", run.run_id, "--in-process", "--json"])
    assert answer.exit_code == 1
    fields = json.loads(answer.stdout)
    assert (fields["outcome"], fields["entry"]["number"]) == ("differs", 4)
    lines = CliRunner().invoke(main.app, ["ledger", "log"]).stdout.splitlines()
    assert "matched (against ledger): control 0 of 200 rows differ, steeper 0 of 200 rows differ" in lines[1]


def test_the_newest_word_on_enough_rows_counts(run):
    """The rule of `version_log.repetition`, on entries written for this test."""
    found = verify(run).comparison
    store = open_store(f"memory://words-{run.run_id}")
    for entry in open_store(run.experiment.ledger).listing("v2/"):
        if not entry.key.startswith("v2/log/"):
            store.put_if_absent(entry.key, open_store(run.experiment.ledger).get(entry.key))

    def say(num_rows: int, *, differ: int, against: str = "ledger", arms=("control", "better", "worse", "again")):
        update = {"num_rows": num_rows, "num_rows_different": differ}
        compared = tuple(arm.model_copy(update=update) for arm in found.arms if arm.arm in arms)
        version_log.record_verification(
            store, run.run_id, found.model_copy(update={"arms": compared, "against": against})
        )
        return version_log.repetition(CommittedRun(store, run.run_id))

    def matched(*arms: str):
        return dict.fromkeys(arms, 200)

    every = ("control", "better", "worse", "again")
    assert version_log.repetition(CommittedRun(store, run.run_id)).matched == {}
    assert say(200, differ=0, arms=("control", "better")).matched == matched("control", "better")
    assert say(200, differ=0, arms=("worse", "again")).matched == matched(*every)
    assert say(64, differ=1, arms=("worse",)).differing == ("worse",)
    assert say(32, differ=0).differing == ("worse",)  # fewer rows than those with the difference
    assert say(64, differ=0, against="itself").differing == ("worse",)  # does not compare with the ledger
    assert say(64, differ=0) == version_log.Repetition({**matched(*every), "worse": 64})
    assert say(32, differ=2, against="itself", arms=("better",)).differing == ("better",)
    assert say(200, differ=0).differing == ("better",)
    assert say(32, differ=0, against="itself", arms=("better",)) == version_log.Repetition(matched(*every))
