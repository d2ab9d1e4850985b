"""Weights of one file, several or a folder, on a disk or in a bucket, have a digest of their content and nothing else."""

from pathlib import Path

import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.predictors.weights_files import WeightsFiles, weights_files
from assay.evaluator.storage import open_store

FILES = {"a.bin": b"first", "part/b.bin": b"second"}
POINTER = b"version 1\noid sha256:0123\nsize 12\n"


def written(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def of(*locations: str | Path, copies: Path | None = None) -> WeightsFiles:
    return weights_files([str(each) for each in locations], store_at=open_store, copies=copies)


def test_one_file_has_the_digest_that_sha256sum_prints(tmp_path):
    found = of(written(tmp_path) / "a.bin")
    assert (found.digest, found.size_bytes) == (sha256_digest(b"first"), 5)


@pytest.mark.parametrize(
    "change",
    [
        {"a.bin": b"First"},
        {"part/b.bin": b"other"},
        {"part/c.bin": b""},
        {"a.bin": b"second", "part/b.bin": b"first"},
    ],
)
def test_any_change_in_a_folder_changes_its_digest_and_moving_it_does_not(tmp_path, change):
    before = of(written(tmp_path / "here" / "model"))
    assert of(written(tmp_path / "there" / "renamed")) == before
    assert of(written(tmp_path / "changed", {**FILES, **change})).digest != before.digest


def test_several_locations_are_in_order(tmp_path):
    folder = written(tmp_path)
    first, second = folder / "a.bin", folder / "part" / "b.bin"
    assert of(first, second).digest != of(second, first).digest
    assert of(first, second).size_bytes == 11
    assert of(first, folder / "part").paths == ()


def test_files_of_one_location_are_not_those_of_two(tmp_path):
    both = written(tmp_path / "both", {"a": b"1", "b": b"2"})
    first, second = written(tmp_path / "first", {"a": b"1"}), written(tmp_path / "second", {"b": b"2"})
    assert of(both, first).digest != of(first, both).digest
    assert of(both).digest != of(first, second).digest


def test_linked_folders_count_and_caches_of_python_do_not(tmp_path):
    folder = written(tmp_path / "model", {"a": b"1"})
    before = of(folder)
    written(folder, {"__pycache__/load.pyc": b"compiled"})
    assert of(folder).digest == before.digest
    (folder / "linked").symlink_to(written(tmp_path / "elsewhere", {"b": b"2"}))
    linked = of(folder)
    (tmp_path / "elsewhere" / "b").write_bytes(b"3")
    assert len({before.digest, linked.digest, of(folder).digest}) == 3


def test_a_bucket_has_the_digests_of_a_disk_and_its_files_are_copied(tmp_path):
    store = open_store("memory://weights-files")
    for name, content in FILES.items():
        store.put_if_absent(f"model/{name}", content)
    store.put_if_absent("a.bin", FILES["a.bin"])
    local = written(tmp_path / "model")
    for name, same in (("model", local), ("a.bin", local / "a.bin")):
        found = of(f"memory://weights-files/{name}", copies=tmp_path / "copies" / name)
        assert found.digest == of(same).digest
        (path,) = found.paths
        assert Path(path).name == Path(name).name
        if name == "model":
            assert {file: (Path(path) / file).read_bytes() for file in FILES} == FILES
        else:
            assert Path(path).read_bytes() == b"first"
    assert of(local, copies=tmp_path / "copies").paths == (str(local),)  # what is on this machine is not copied


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_nothing_there_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VariantError, match="no such file, and no folder with files") as caught:
        of(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(VariantError, match="no such file, and no folder with files"):
        of(f"memory://weights-files-{name}/model")


def test_a_git_lfs_pointer_is_refused_by_name(tmp_path):
    written(tmp_path, {"model.bin": POINTER})
    open_store("memory://pointers").put_if_absent("model.bin", POINTER)
    for location in (tmp_path / "model.bin", tmp_path, "memory://pointers/model.bin"):
        with pytest.raises(VariantError, match=r"model\.bin: weights: a Git LFS pointer.*git lfs pull"):
            of(location)
