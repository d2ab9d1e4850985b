"""The verbs of `assay dataset`, through the command line: list, show, verify, withdraw."""

import json
from pathlib import Path

import pytest
import yaml

from assay.evaluator.data.frozen import findings
from assay.evaluator.storage import open_store
from assay.manifests import Dataset
from assay.manifests.finding import Withdrawal
from tests import builders


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return builders.freeze_rows(tmp_path)


def edited_manifest(folder: Path, **changes: object) -> None:
    path = folder / "datasets" / "refs" / "small" / "v1.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(content))


def test_ls_lists_each_version_once_with_what_tells_it_apart(assay, dataset, tmp_path):
    source = str(builders.write_rows(tmp_path, num_rows=30))
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(builders.CONTRACT))
    for name in ("small@v10", "other@v1"):
        assert assay("freeze", source, "--contract", "contract.yaml", "--as", name).returncode == 0
    rows = json.loads(assay("dataset", "ls", "--json").stdout)
    assert [row["reference"] for row in rows] == ["other@v1", "small@v1", "small@v10"]
    (first,) = (row for row in rows if row["reference"] == "small@v1")
    assert (first["digest"], first["num_rows"]) == (dataset.digest(), 200)
    assert first["size_bytes"] == sum(path.stat().st_size for path in tmp_path.glob("datasets/objects/*/*/*")) - next(
        row["size_bytes"] for row in rows if row["reference"] == "other@v1"
    )
    assert first["frozen_at"] == dataset.frozen_at
    told = assay("dataset", "ls", "datasets").stdout
    assert dataset.digest()[:19] in told
    assert told.count("withdrawn") == 0


def test_ls_lists_what_is_whole_and_names_what_is_damaged(assay, dataset, tmp_path):
    source = str(builders.write_rows(tmp_path, num_rows=30))
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(builders.CONTRACT))
    assert assay("freeze", source, "--contract", "contract.yaml", "--as", "other@v1").returncode == 0
    assay("dataset", "withdraw", "datasets/other@v1", "--reason", "old")
    (finding,) = (tmp_path / "datasets" / "findings").rglob("*.json")
    finding.write_text("{}")
    answer = assay("dataset", "ls", "--json")
    assert [row["reference"] for row in json.loads(answer.stdout)] == ["small@v1"]
    assert answer.returncode == 1
    assert "findings/other/v1" in answer.stderr
    assert "was changed" in answer.stderr


def test_an_empty_store_is_said_to_be_empty(assay):
    answer = assay("dataset", "ls", "nowhere")
    assert (answer.returncode, answer.stdout) == (0, "")
    assert "has no datasets" in answer.stderr
    assert json.loads(assay("dataset", "ls", "nowhere", "--json").stdout) == []


def test_show_tells_meaning_rules_sources_and_findings(assay, tmp_path):
    contract = {**builders.CONTRACT, "description": "Rows of a test."}
    contract["columns"] = [dict(column) for column in builders.CONTRACT["columns"]]
    contract["columns"][1] |= {"minimum": 0, "maximum": 1, "unit": "m", "description": "how far", "warn": ["maximum"]}
    contract["invariants"] = [{"name": "sound", "sql": "x >= 0", "severity": "warn"}]
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(contract))
    source = builders.write_rows(tmp_path)
    assert assay("freeze", str(source), "--contract", "contract.yaml", "--as", "small@v1").returncode == 0
    assay("dataset", "withdraw", "datasets/small@v1", "--reason", "wrong [labels]")
    found = json.loads(assay("dataset", "show", "datasets/small@v1", "--json").stdout)
    x = found["columns"][1]
    assert (x["unit"], x["description"], x["rules"]) == ("m", "how far", ["at least 0", "at most 1 (warning only)"])
    assert "sound: x >= 0 (warning only)" in found["rules"]
    assert found["sources"][0]["num_rows"] == 200
    assert [each["reason"] for each in found["findings"]] == ["wrong [labels]"]
    told = assay("dataset", "show", "datasets/small@v1").stdout
    for words in ("Rows of a test.", "how far", "sound: x >= 0", "rows.jsonl", "wrong [labels]", "withdrawn on"):
        assert words in told
    assert told.count("wrong [labels]") == 2  # at the top, and among the findings
    train = tmp_path / "train.jsonl"
    train.write_bytes(source.read_bytes())
    assay("dataset", "leakage", "datasets/small@v1", "--training", "train.jsonl")
    assert (
        "200 of 200 rows have the same features as a training row"
        in assay("dataset", "show", "datasets/small@v1").stdout
    )


def test_verify_finds_nothing_wrong_with_what_was_frozen(assay, dataset):
    answer = assay("dataset", "verify", "datasets/small@v1")
    assert answer.returncode == 0, answer.stderr
    assert "7 shards, 200 rows: intact" in answer.stdout


def test_verify_names_every_damaged_shard(assay, dataset, tmp_path):
    for index in (2, 5):
        path = tmp_path / "datasets" / dataset.shards[index].key
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    answer = assay("dataset", "verify", "datasets/small@v1")
    assert answer.returncode == 1
    assert "shard 2 of small@v1 is damaged" in answer.stderr
    assert "shard 5 of small@v1 is damaged" in answer.stderr
    assert "shard 3" not in answer.stderr


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("sources", "rows of its sources: 3, expected 200"),
        ("check", "rows that were checked: 7, expected 200"),
        ("contract", "columns"),
        ("parent", "rows of the sample: 200, expected 9"),
    ],
)
def test_verify_holds_the_manifests_numbers_against_each_other(assay, dataset, tmp_path, field, words):
    plain = dataset.model_dump(mode="json")
    other = {"name": "renamed", "role": "feature", "type": "float64"}
    changes = {
        "sources": [{**plain["sources"][0], "num_rows": 3}],
        "check": {**plain["check"], "num_rows": 7},
        "contract": {**plain["contract"], "columns": [*plain["contract"]["columns"], other]},
        "parent": {"num_rows": 200, "rows_digest": dataset.rows_digest, "sample": {"rows": 9}},
    }
    edited_manifest(tmp_path, **{field: changes[field]})
    answer = assay("dataset", "verify", "datasets/small@v1")
    assert answer.returncode == 1
    assert "contradicts itself" in answer.stderr
    assert words in answer.stderr


def test_verify_compares_the_sha256_too(assay, dataset, tmp_path):
    shards = [shard.model_dump(mode="json") for shard in dataset.shards]
    edited_manifest(tmp_path, shards=[{**shards[0], "sha256": f"sha256:{'0' * 64}"}, *shards[1:]])
    answer = assay("dataset", "verify", "datasets/small@v1")
    assert answer.returncode == 1
    assert "shard 0 of small@v1 does not have the sha256" in answer.stderr


def test_a_withdrawn_version_stays_and_says_so_at_every_door(assay, dataset, tmp_path):
    before = {path: path.read_bytes() for path in (tmp_path / "datasets").rglob("*") if path.is_file()}
    answer = assay("dataset", "withdraw", "datasets/small@v1", "--reason", "labels of May are wrong", "--by", "Ada")
    assert answer.returncode == 0
    assert "by Ada: labels of May are wrong" in answer.stdout
    store = open_store(str(tmp_path / "datasets"))
    withdrawal = findings.withdrawal_of(store, "small@v1")
    assert withdrawal is not None
    assert (withdrawal.rows_digest, withdrawal.found_by) == (dataset.rows_digest, "Ada")
    assert findings.withdrawal_of(store, "small@v2") is None
    assert all(path.read_bytes() == content for path, content in before.items())
    assert "withdrawn" in assay("dataset", "ls").stdout
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(builders.CONTRACT))
    frozen = assay("freeze", "rows.jsonl", "--contract", "contract.yaml", "--as", "small@v1")
    assert frozen.returncode == 0
    assert "small@v1 was withdrawn on" in frozen.stderr


def test_freezing_again_under_an_edited_contract_says_that_the_old_one_stands(assay, dataset, tmp_path):
    for description, is_told in (("", False), ("edited", True)):
        (tmp_path / "contract.yaml").write_text(yaml.safe_dump({**builders.CONTRACT, "description": description}))
        frozen = assay("freeze", "rows.jsonl", "--contract", "contract.yaml", "--as", "small@v1")
        assert frozen.returncode == 0
        assert ("small@v1 already exists and keeps the contract that it was frozen with" in frozen.stderr) == is_told


def test_freezing_the_same_rows_again_says_that_they_were_frozen_before(assay, dataset, tmp_path):
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(builders.CONTRACT))
    for version, said in (
        ("v1", "small@v1 exists already with these rows; nothing was written: "),
        ("v2", "frozen small@v2: "),
    ):
        frozen = assay("freeze", "rows.jsonl", "--contract", "contract.yaml", "--as", f"small@{version}")
        assert (frozen.returncode, frozen.stderr.startswith(said)) == (0, True), frozen.stderr


def test_withdrawing_again_for_the_same_reason_changes_nothing(assay, dataset, tmp_path):
    first = Withdrawal(
        reference="small@v1",
        rows_digest=dataset.rows_digest,
        found_at="2026-01-02T03:04:05+00:00",
        found_by="",
        reason="old",
    )
    findings.keep(open_store(str(tmp_path / "datasets")), first)
    for reason in ("old", "older", "older", "old"):
        assay("dataset", "withdraw", "datasets/small@v1", "--reason", reason)
    assert len(list((tmp_path / "datasets" / "findings").rglob("*.json"))) == 2
    assert findings.withdrawal_of(open_store(str(tmp_path / "datasets")), "small@v1") == first


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, "a line\nand one more", "\x1b[31mred"])
def test_a_withdrawal_without_a_reason_is_refused(assay, dataset, tmp_path, reason):
    answer = assay("dataset", "withdraw", "datasets/small@v1", "--reason", reason)
    assert answer.returncode == 2
    assert "a withdrawal needs a short reason" in answer.stderr
    assert not (tmp_path / "datasets" / "findings").exists()


def test_a_run_takes_a_dataset_by_digest_and_says_its_name(assay, dataset, tmp_path):
    path = builders.write_experiment(tmp_path, dataset=f"datasets/small@{dataset.digest()[:19]}")
    answer = assay("run", str(path), "--in-process", "--dry-run")
    assert answer.returncode == 0, answer.stderr
    assert f"dataset: small@v1, {dataset.digest()}" in answer.stderr
    assert "dataset: " not in assay("run", str(builders.write_experiment(tmp_path)), "--dry-run").stderr


def test_an_unknown_digest_is_invalid_input_that_lists_what_is_there(assay, dataset, tmp_path):
    path = builders.write_experiment(tmp_path, dataset=f"datasets/small@sha256:{'0' * 64}")
    answer = assay("run", str(path), "--in-process")
    assert answer.returncode == 2
    assert f"small@v1 {dataset.digest()}" in answer.stderr


def test_weights_are_refused_rather_than_ignored(assay, tmp_path):
    contract = {**builders.CONTRACT, "columns": [*builders.CONTRACT["columns"]]}
    contract["columns"].append({"name": "w", "role": "weight", "type": "float64"})
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(contract))
    rows = [json.dumps({**row, "w": 2.0}) + "\n" for row in builders.rows(200)]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    assert assay("freeze", "rows.jsonl", "--contract", "contract.yaml", "--as", "small@v1").returncode == 0
    answer = assay("run", str(builders.write_experiment(tmp_path)), "--in-process")
    assert answer.returncode == 2
    assert "small@v1: w: row weights are not supported: every estimate counts each row once" in answer.stderr
    assert not (tmp_path / "ledger").exists()


def test_a_run_refuses_what_an_arm_cannot_be_given_before_it_begins(assay, dataset, tmp_path):
    arms = {**builders.ARMS, "better": {**builders.variant(), "inputs": ["group"]}}
    answer = assay("run", str(builders.write_experiment(tmp_path, arms=arms)), "--in-process")
    assert answer.returncode == 2
    assert "arm 'better': inputs: the column has the role segment" in answer.stderr
    assert not (tmp_path / "ledger").exists()


def test_freezing_a_sample_says_of_how_many(assay, tmp_path):
    contract = {**builders.CONTRACT, "sample": {"rows": 50, "stratify": ["y", "group"], "seed": 4}}
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(contract))
    source = builders.write_rows(tmp_path)
    answer = assay("freeze", str(source), "--contract", "contract.yaml", "--as", "few@v1")
    assert answer.returncode == 0, answer.stderr
    assert "50 rows in 1 shard, a sample of 200" in answer.stderr
    found = json.loads(assay("dataset", "show", "datasets/few@v1", "--json").stdout)
    assert found["parent"]["num_rows"] == 200
    assert "a sample of 50 of 200 rows within y, group, seed 4" in assay("dataset", "show", "datasets/few@v1").stdout
    assert assay("dataset", "verify", "datasets/few@v1").returncode == 0


def test_the_number_of_distinct_ids_is_exact_and_that_of_many_other_values_is_said_to_be_about_right(assay, tmp_path):
    source = builders.write_rows(tmp_path, num_rows=6_000)
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(builders.CONTRACT))
    assert assay("freeze", str(source), "--contract", "contract.yaml", "--as", "many@v1").returncode == 0
    shown = [" ".join(line.split()) for line in assay("dataset", "show", "datasets/many@v1").stdout.splitlines()]
    assert any(line.startswith("key 0 6,000 ") for line in shown)
    assert any(line.startswith("x 0 about ") for line in shown)
    assert "values converted while reading:" in shown
