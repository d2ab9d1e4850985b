"""Where numbers come from: dirty trees, confounded arms, and tracing a number back to its files."""

import json
import os
import subprocess
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cluster import pipeline
from assay.cluster.cli import main
from assay.cluster.report.record import document
from assay.evaluator.errors import DamageError, SourceError
from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.ledger import trace
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import open_store
from assay.manifests import InvalidInput
from assay.manifests.run import Run
from tests import builders


def git(folder: Path, *arguments: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, env=environ, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A clean repository, which is the working directory."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    monkeypatch.chdir(folder)
    return folder


def committed(folder: Path, **more) -> Run:
    prepared = pipeline.prepare(str(builders.write_experiment(folder, **more)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared.run


def assay(*arguments: str):
    return CliRunner().invoke(main.app, list(arguments))


def test_a_dirty_tree_is_refused_before_anything_is_written(repository, tmp_path):
    (repository / "code.py").write_text("x = 2\n")
    with pytest.raises(SourceError, match=r"require_clean: there are uncommitted changes"):
        committed(tmp_path / "run", require_clean=True)
    assert not (tmp_path / "run" / "ledger").exists()
    git(repository, "commit", "--quiet", "--all", "--message=second")
    committed(tmp_path / "run", require_clean=True)


def test_a_folder_of_which_nobody_can_tell_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"require_clean: .*not a git repository"):
        committed(tmp_path / "run", require_clean=True)


def test_a_run_that_was_opened_on_a_dirty_tree_does_not_become_clean(repository, tmp_path):
    (repository / "code.py").write_text("x = 2\n")
    arms = {"control": builders.variant("raises", above=0.5)}  # opens the run but cannot finish it
    with pytest.raises(Exception, match="could not be measured"):
        committed(tmp_path / "run", arms=arms)
    git(repository, "commit", "--quiet", "--all", "--message=second")
    with pytest.raises(SourceError, match="uncommitted changes"):
        committed(tmp_path / "run", arms=arms, require_clean=True)


def test_a_patch_that_was_kept_makes_the_same_tree_and_is_vouched_for(repository, tmp_path):
    (repository / "code.py").write_text("x = 2\n")
    (repository / "new.bin").write_bytes(bytes(range(256)))
    before = sorted((repository / ".git").rglob("*"))
    run = committed(tmp_path / "run", store_patch=True)
    assert sorted((repository / ".git").rglob("*")) == before
    store = open_store(run.experiment.ledger)
    (kept,) = store.listing("v2/patches/")
    content = store.get(kept.key).to_pybytes()
    patch = tmp_path / "kept.patch"
    patch.write_bytes(content)
    git(repository, "stash", "--include-untracked")
    assert not (repository / "new.bin").exists()
    git(repository, "apply", "--binary", str(patch))
    assert (repository / "code.py").read_text() == "x = 2\n"
    assert (repository / "new.bin").read_bytes() == bytes(range(256))
    found = trace.run_lineage(store, run.run_id)["circumstance"]["source"]
    assert found["patch"] == sha256_digest(content)
    assert verify_ledger(store).problems == ()
    path = Path(run.experiment.ledger, kept.key)
    path.write_bytes(content + b"\n")
    assert [problem.key for problem in verify_ledger(store).problems] == [kept.key]
    path.unlink()
    (problem,) = verify_ledger(store).problems
    assert (problem.key, problem.problem) == (
        kept.key,
        f"is missing: it holds the uncommitted changes of run '{run.run_id}'",
    )


def test_no_patch_is_kept_unless_it_is_asked_for(repository, tmp_path):
    (repository / "code.py").write_text("password = 'hunter2'\n")
    run = committed(tmp_path / "run")
    assert not list(open_store(run.experiment.ledger).listing("v2/patches/"))
    assert not [
        path for path in (tmp_path / "run/ledger").rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()
    ]


def test_an_arm_that_was_scored_under_other_flags_is_named_as_confounded(tmp_path):
    (tmp_path / "flags_under_test.py").write_text(
        textwrap.dedent("""
            import numpy as np
            import torch

            def more_threads(features):
                torch.set_num_threads(2)
                return np.where(features["x"] > 0.5, 0.9, 0.1)
        """)
    )
    threads = {**builders.variant(), "entrypoint": "flags_under_test:more_threads"}
    run = committed(tmp_path, arms={"control": builders.variant(), "same": builders.variant(cut=0.4), "more": threads})
    found = document(open_store(run.experiment.ledger), run.run_id).plain()
    assert found["confounded"] == {
        "more": "7 of 7 units were scored under other conditions than the control's: determinism.num_threads 2 instead of 1"
    }
    shown = assay("report", run.run_id, "--ledger", run.experiment.ledger)
    assert "confounded: more against control" in " ".join(shown.stdout.split())


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, Run, Run]:
    """A folder with two runs in one ledger; in the second, the arm `better` has a different cut."""
    folder = tmp_path_factory.mktemp("two")
    first = committed(folder)
    arms = {**builders.ARMS, "better": builders.variant(cut=0.6)}
    return folder, first, committed(folder, arms=arms)


def test_the_lineage_says_where_a_run_came_from(two):
    folder, first, _ = two
    found = json.loads(
        assay("ledger", "show", first.run_id, "--lineage", "--json", "--ledger", str(folder / "ledger")).stdout
    )
    assert list(found) == ["run_id", "identity", "arms", "circumstance"]
    assert found["identity"]["dataset"]["digest"] == first.dataset_digest
    assert found["identity"]["batch_size"] == 32
    assert found["arms"]["control"]["parameters"] == {"flip_every": 5}
    assert found["arms"]["control"]["flags"]["matmul_tf32"] is False
    assert found["circumstance"]["executor"] == "in_process"
    assert found["circumstance"]["committed_at"] > found["circumstance"]["opened_at"]
    assert found["circumstance"]["packages"]["scipy"]
    lines = assay("ledger", "show", first.run_id, "--lineage", "--ledger", str(folder / "ledger")).stdout.splitlines()
    assert "  better.code_digest: " + found["arms"]["better"]["code_digest"] in lines


def test_a_number_leads_back_to_rows_shards_code_and_plan(two):
    folder, first, _ = two
    answer = assay("ledger", "trace", first.run_id, "better", "accuracy", "--json", "--ledger", str(folder / "ledger"))
    found = json.loads(answer.stdout)
    assert (
        found["value"]
        == document(open_store(first.experiment.ledger), first.run_id).plain()["arms"][1]["metrics"]["accuracy"]
    )
    assert sum(file["num_rows"] for file in found["made_from"]) == found["num_rows"] == 200
    for file in (*found["made_from"], *found["published_in"]):
        assert sha256_digest((folder / "ledger" / file["key"]).read_bytes()) == file["sha256"]
    assert sum(shard["num_rows"] for shard in found["dataset"]["shards"]) == 200
    for shard in found["dataset"]["shards"]:
        assert sha256_digest((folder / "datasets" / shard["key"]).read_bytes()) == shard["sha256"]
    (code,) = [each for each in first.code if each.digest() == found["variant"]["code_digest"]]
    assert code.modules["variants_under_test"] == sha256_digest((folder / "variants_under_test.py").read_bytes())
    assert set(code.distributions) == {"numpy"}
    assert found["plan_digest"] == first.plan_digest
    words = assay("ledger", "trace", first.run_id, "better", "accuracy", "--ledger", str(folder / "ledger")).stdout
    assert words.startswith(f"accuracy of better in run {first.run_id}: {found['value']!r} (measure: accuracy)\n")


def test_a_number_of_changed_rows_is_not_traced(tmp_path):
    run = committed(tmp_path)
    store = open_store(run.experiment.ledger)
    with pytest.raises(InvalidInput, match="did you mean 'accuracy'"):
        trace.number(store, run.run_id, "better", "acuracy")
    path = tmp_path / "ledger" / "v2/data/scores" / run.run_id / "better/u000003.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DamageError, match=r"u000003\.parquet' was changed"):
        trace.number(store, run.run_id, "better", "accuracy")


def test_two_runs_differ_in_lineage_first_and_then_in_the_numbers_it_explains(two):
    folder, first, second = two
    answer = assay("ledger", "diff", first.run_id, second.run_id, "--json", "--ledger", str(folder / "ledger"))
    found = json.loads(answer.stdout)
    fields = {change["field"]: (change["recorded"], change["now"]) for change in found["lineage"]}
    assert fields["arms.better.parameters.cut"] == (None, 0.6)
    assert not [field for field in fields if field.startswith("identity.")]
    assert {(each["arm"], each["metric"]) for each in found["numbers"]} == {
        ("better", "accuracy"),
        ("better", "log_loss"),
        ("better", "auroc"),
    }
    for each in found["numbers"]:
        assert "arms.better.parameters.cut" in each["explained_by"]
        assert not each["same_scores"]
    same = assay("ledger", "diff", first.run_id, first.run_id, "--ledger", str(folder / "ledger"))
    assert same.stdout == "lineage: the same\nnumbers: the same\n"
