"""References by digest: the version that has it, or what there is instead."""

import pytest

from assay.evaluator.data.frozen import references
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.errors import DataError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from tests.evaluator.data import tables

CONTRACT = tables.contract(
    Column(name="y", role="label", type="bool"), Column(name="x", role="feature", type="float32")
)


@pytest.fixture
def frozen(tmp_path) -> list[Dataset]:
    store = MemoryStore.named("by-digest")
    found = []
    for version, num_rows in (("v1", 3), ("v2", 4), ("v3", 4)):
        path = tmp_path / f"{version}.csv"
        path.write_text("y,x\n" + "true,1\n" * num_rows)
        found.append(freeze([path], contract=CONTRACT, reference=f"t@{version}", store=store))
    return found


def test_versions_of_a_name_are_not_those_of_a_longer_one(frozen, tmp_path):
    freeze([tmp_path / "v1.csv"], contract=CONTRACT, reference="tt@v1", store=MemoryStore.named("by-digest"))
    store = MemoryStore.named("by-digest")
    assert references.references(store, name="t") == ["t@v1", "t@v2", "t@v3"]
    assert references.references(store) == ["t@v1", "t@v2", "t@v3", "tt@v1"]


def test_a_digest_or_its_beginning_names_its_version(frozen):
    for digits in (64, 12, 20):
        dataset, _ = open_dataset(f"memory://by-digest/t@{frozen[0].digest()[: 7 + digits]}")
        assert dataset == frozen[0]


def test_of_versions_with_the_same_digest_the_first_is_taken(frozen):
    assert frozen[1].digest() == frozen[2].digest()
    dataset, _ = open_dataset(f"memory://by-digest/t@{frozen[2].digest()}")
    assert dataset.reference == "t@v2"


def test_a_beginning_that_several_digests_have_is_refused(frozen, monkeypatch):
    monkeypatch.setattr(references, "_DIGEST_START", references.re.compile("sha256:.*"))
    with pytest.raises(DataError, match=r"several versions.*t@v1 sha256:.*t@v2 sha256:.*give more digits"):
        open_dataset("memory://by-digest/t@sha256:")


@pytest.mark.parametrize(
    "digest", ["sha256:", "sha256:0123456789a", "sha256:0123456789AB", f"sha256:{'0' * 65}", "md5:0123456789ab"]
)
def test_what_is_no_digest_is_refused_with_what_one_is(frozen, digest):
    with pytest.raises(DataError, match=r"not a valid digest.*12 to 64"):
        open_dataset(f"memory://by-digest/t@{digest}")


def test_an_unknown_digest_lists_what_is_there(frozen):
    with pytest.raises(DataError, match="no version has this digest") as refused:
        open_dataset("memory://by-digest/t@sha256:000000000000")
    assert all(f"{dataset.reference} {dataset.digest()}" in str(refused.value) for dataset in frozen)
    with pytest.raises(DataError, match="no dataset named u"):
        open_dataset("memory://by-digest/u@sha256:000000000000")
