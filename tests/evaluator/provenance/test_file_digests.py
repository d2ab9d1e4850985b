"""The digest of a file is that of its content, whether it was computed or remembered."""

import os

from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.provenance.file_digests import file_digest


def test_the_digest_of_a_large_file_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "weights.bin"
    file.write_bytes(b"a" * (17 << 20))
    first = file_digest(file)
    assert first == sha256_digest(file.read_bytes())
    (remembered,) = (tmp_path / "cache" / "assay" / "digests").iterdir()
    remembered.write_text("sha256:" + "0" * 64)  # to see that it is used
    assert file_digest(file) == "sha256:" + "0" * 64
    remembered.write_text("sha256:torn")
    assert file_digest(file) == first
    times = file.stat()
    with file.open("r+b") as changed:  # as long as before, and with the same time of modification
        changed.write(b"b")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file_digest(file) == sha256_digest(file.read_bytes()) != first


def test_without_a_folder_to_remember_in_digests_are_computed(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "weights.bin"
    file.write_bytes(b"a" * (17 << 20))
    assert file_digest(file) == sha256_digest(file.read_bytes())


def test_a_remembered_digest_is_not_used_where_the_content_must_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "weights.bin"
    file.write_bytes(b"a" * (17 << 20))
    file_digest(file)
    (remembered,) = (tmp_path / "cache" / "assay" / "digests").iterdir()
    remembered.write_text("sha256:" + "0" * 64)
    assert file_digest(file, uses_cache=False) == sha256_digest(file.read_bytes())
