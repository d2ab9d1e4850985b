"""Bad input of each kind, through the command line: one clear message, the right exit code, no partial results."""

import json
from pathlib import Path

import pytest
import yaml

from tests import builders
from tests.end_to_end.conftest import Answer


def edited(path: Path, change) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def refused(answer: Answer, folder: Path, *, code: int, words: list[str]) -> None:
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    messages = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1, answer.stderr
    for word in words:
        assert word in messages[0]
    assert answer.stdout == ""
    assert not list(folder.glob("ledger/v2/commits/*"))
    assert not list(folder.glob("ledger/v2/data/*")) or code == 1


def _typo(folder: Path) -> None:
    edited(folder / "suite.yaml", lambda suite: suite.update(batch_sise=suite.pop("batch_size")))


def _wrong_type(folder: Path) -> None:
    edited(folder / "suite.yaml", lambda suite: suite.update(seed="seven"))


def _missing_file(folder: Path) -> None:
    edited(folder / "experiment.yaml", lambda experiment: experiment.update(suite="suit.yaml"))


def _unknown_module(folder: Path) -> None:
    edited(
        folder / "experiment.yaml",
        lambda experiment: experiment["arms"][1]["variant"].update(entrypoint="no_such_module:build"),
    )


def _unknown_function(folder: Path) -> None:
    edited(
        folder / "experiment.yaml",
        lambda experiment: experiment["arms"][1]["variant"].update(entrypoint="variants_under_test:treshold"),
    )


def _weights_differ(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    edited(
        folder / "experiment.yaml",
        lambda experiment: experiment["arms"][1]["variant"].update(
            predictor="torch", weights="weights.safetensors", weights_digest="sha256:" + "0" * 64
        ),
    )


def _weights_missing(folder: Path) -> None:
    edited(
        folder / "experiment.yaml",
        lambda experiment: experiment["arms"][1]["variant"].update(predictor="torch", weights="gone.safetensors"),
    )


def _batch_size_of_0(folder: Path) -> None:
    edited(folder / "suite.yaml", lambda suite: suite.update(batch_size=0))


def _two_arms_of_one_name(folder: Path) -> None:
    edited(folder / "experiment.yaml", lambda experiment: experiment["arms"][2].update(name="better"))


def _no_control(folder: Path) -> None:
    edited(folder / "experiment.yaml", lambda experiment: experiment["arms"].pop(0))


def _no_such_version(folder: Path) -> None:
    edited(folder / "experiment.yaml", lambda experiment: experiment.update(dataset="datasets/small@v2"))


def _flipped_byte(folder: Path) -> None:
    shard = sorted((folder / "datasets/objects").rglob("*.arrow"))[3]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def _missing_shard(folder: Path) -> None:
    sorted((folder / "datasets/objects").rglob("*.arrow"))[3].unlink()


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        pytest.param(_typo, 2, ["suite.yaml", "batch_sise", "did you mean 'batch_size'?"], id="typo"),
        pytest.param(_wrong_type, 2, ["suite.yaml:", "seed", "seven", "integer"], id="wrong_type"),
        pytest.param(_missing_file, 2, ["suit.yaml", "no such file", "did you mean 'suite.yaml'?"], id="missing_file"),
        pytest.param(_unknown_module, 2, ["better", "no_such_module"], id="unknown_module"),
        pytest.param(_unknown_function, 2, ["better", "treshold", "did you mean 'threshold'?"], id="unknown_function"),
        pytest.param(_weights_differ, 2, ["better", "weights.safetensors", "sha256:0000"], id="weights_differ"),
        pytest.param(_weights_missing, 2, ["better", "gone.safetensors"], id="weights_missing"),
        pytest.param(_batch_size_of_0, 2, ["suite.yaml:", "batch_size", "0", ">= 1"], id="batch_size_0"),
        pytest.param(_two_arms_of_one_name, 2, ["experiment.yaml", "better", "unique"], id="two_arms_of_one_name"),
        pytest.param(_no_control, 2, ["experiment.yaml", "'control'"], id="no_control"),
        pytest.param(_no_such_version, 2, ["small@v2", "no such version", "allowed: v1"], id="no_such_version"),
        pytest.param(_flipped_byte, 1, ["blake3:"], id="flipped_byte"),
        pytest.param(_missing_shard, 1, [".arrow"], id="missing_shard"),
    ],
)
def test_a_bad_experiment_is_refused(assay, tmp_path, damage, code, words):
    builders.write_experiment(tmp_path)
    damage(tmp_path)
    answer = assay("run", "experiment.yaml", "--in-process", "--json", folder=tmp_path)
    refused(answer, tmp_path, code=code, words=words)


def test_a_damaged_run_goes_on_once_the_shard_is_back(assay, tmp_path):
    builders.write_experiment(tmp_path)
    shard = sorted((tmp_path / "datasets/objects").rglob("*.arrow"))[3]
    content = shard.read_bytes()
    shard.unlink()
    assert assay("run", "experiment.yaml", "--in-process", folder=tmp_path).returncode == 1
    shard.write_bytes(content)
    answer = assay("run", "experiment.yaml", "--in-process", "--json", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["gate"] == "promote"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(
            '{"key": "row-00200", "x": 0.5, "y": null, "group": "a"}',
            ["rows.jsonl", "201", "y", "null"],
            id="null_in_label",
        ),
        pytest.param(
            '{"key": "row-00007", "x": 0.5, "y": 1, "group": "a"}',
            ["rows.jsonl", "201", "key", "row-00007"],
            id="duplicate_id",
        ),
    ],
)
def test_bad_rows_are_not_frozen(assay, tmp_path, line, words):
    with builders.write_rows(tmp_path).open("a") as file:
        file.write(line + "\n")
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(builders.CONTRACT))
    answer = assay("freeze", "rows.jsonl", "--contract", "contract.yaml", "--as", "small@v1", folder=tmp_path)
    refused(answer, tmp_path, code=2, words=words)
    assert not list(tmp_path.glob("datasets/objects/**/*.arrow"))
    assert not list(tmp_path.glob("datasets/refs/**/*.json"))


def test_an_unknown_run_an_unknown_arm_and_an_unknown_kind_are_named(assay, tmp_path):
    builders.write_experiment(tmp_path)
    assert assay("run", "experiment.yaml", "--in-process", folder=tmp_path).returncode == 0
    answer = assay("report", "smal", folder=tmp_path)
    assert (answer.returncode, "Traceback" in answer.stderr) == (1, False)
    answer = assay("gate", "experiment.yaml", "--arm", "beter", folder=tmp_path)
    assert answer.returncode == 2
    assert "did you mean 'better'?" in answer.stderr
    answer = assay("schema", "Siute", folder=tmp_path)
    assert (answer.returncode, "did you mean 'Suite'?" in answer.stderr) == (2, True)


@pytest.mark.parametrize(("arm", "code"), [("better", 0), ("again", 3), ("worse", 4), (None, 0)])
def test_the_gate_answers_with_its_exit_code(assay, tmp_path, arm, code):
    builders.write_experiment(tmp_path)
    assert assay("run", "experiment.yaml", "--in-process", folder=tmp_path).returncode == 0
    chosen = ["--arm", arm] if arm else []
    answer = assay("gate", "experiment.yaml", *chosen, "--json", folder=tmp_path)
    assert answer.returncode == code, answer.stderr
    assert json.loads(answer.stdout)["gate"] == {0: "promote", 3: "hold", 4: "reject"}[code]


def test_the_gate_of_an_experiment_with_a_failed_arm_answers_by_the_run_that_there_is(assay, tmp_path):
    arms = {**builders.ARMS, "broken": builders.variant("raises", above=0.5)}
    builders.write_experiment(tmp_path, arms=arms)
    assert assay("run", "experiment.yaml", "--in-process", folder=tmp_path).returncode == 0
    answer = assay("gate", "experiment.yaml", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "broken: hold" in answer.stdout
