"""`assay dataset diff`: the changes as text and as JSON; the finding is stored with the later version."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from assay.cluster.cli.main import app
from assay.evaluator.data.frozen import findings
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.storage import open_store
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset_diff import DatasetDiff
from assay.manifests.errors import AssayError

CONTRACT = Contract(
    kind="Contract",
    version=1,
    columns=(
        Column(name="id", role="id", type="int64"),
        Column(name="y", role="label", type="string", classes=("cat", "dog")),
        Column(name="x", role="feature", type="float64"),
    ),
)


@pytest.fixture
def store(tmp_path) -> str:
    lines = {
        "v1": [f"{row},{'cat' if row % 2 else 'dog'},{row % 10}" for row in range(200)],
        "v2": [f"{row},{'cat' if row % 3 else 'dog'},{row % 10 + 5}" for row in range(10, 210)],
        "v3": [f"{row},{'cat' if row % 2 else 'dog'},{row % 10}" for row in range(199)],
    }
    for version, rows in lines.items():
        (tmp_path / "rows.csv").write_text("\n".join(["id,y,x", *rows]) + "\n")
        freeze(
            [tmp_path / "rows.csv"],
            contract=CONTRACT,
            reference=f"pets@{version}",
            store=open_store(str(tmp_path / "store")),
        )
    return str(tmp_path / "store")


def ask(*arguments: str, exit_code: int = 0) -> str:
    found = CliRunner().invoke(app, ["dataset", "diff", *arguments], catch_exceptions=False)
    assert found.exit_code == exit_code, found.output
    return found.stdout


def test_what_changed_is_said_in_words(store):
    words = ask(f"{store}/pets@v1", f"{store}/pets@v2")
    for part in (
        "pets@v1 -> pets@v2",
        "contract: unchanged",
        "rows: 200 -> 200, matched by id",
        "10 added: 200, 201, 202, 203, 204, …",
        "10 removed: 0, 1, 2, 3, 4, …",
        "x in 190",
        "relabelled: ",
        "2 of 2 columns drifted",
    ):
        assert part in words


def test_the_answer_as_json_is_the_manifest_and_is_kept_beside_the_later_version(store):
    found = DatasetDiff.model_validate_json(ask("pets@v1", "pets@v2", "--store", store, "--by", "someone", "--json"))
    assert not found.drift.is_fine
    (kept,) = findings.findings_of(open_store(store), "pets@v2")
    assert (kept, kept.found_by) == (found.drift, "someone")
    assert findings.findings_of(open_store(store), "pets@v1") == []


def test_versions_may_lie_in_two_stores(store, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(store, other)
    ask(f"{store}/pets@v1", f"{other}/pets@v2")
    assert [len(findings.findings_of(open_store(str(each)), "pets@v2")) for each in (store, other)] == [0, 1]


def test_nothing_is_kept_if_it_shall_not_be(store):
    json.loads(ask("pets@v1", "pets@v2", "--store", store, "--no-keep", "--json"))
    assert findings.findings_of(open_store(store), "pets@v2") == []


def test_a_version_that_is_compared_with_itself_vouches_for_nothing(store):
    ask("pets@v2", "pets@v2", "--store", store)
    assert findings.findings_of(open_store(store), "pets@v2") == []


@pytest.mark.parametrize(("later", "exit_code"), [("pets@v2", 1), ("pets@v3", 0)])
def test_drift_fails_only_where_it_is_told_to(store, later, exit_code):
    ask("pets@v1", later, "--store", store)
    ask("pets@v1", later, "--store", store, "--fail-on-drift", exit_code=exit_code)


def test_an_unknown_version_is_named(store):
    with pytest.raises(AssayError, match=r"no such version.*allowed: v1, v2, v3"):
        ask("pets@v1", "pets@v9", "--store", store)
