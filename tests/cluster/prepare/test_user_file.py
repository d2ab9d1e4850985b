"""Files that users name: whatever a path leads to, it is read or refused at once, in words with place and remedy."""

import os
import time
from pathlib import Path

import pytest

from assay.cluster.prepare.user_file import read_text
from assay.manifests.errors import InvalidInput


def odd_paths(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / "zero.csv").symlink_to("/dev/zero")
    (folder / "broken.csv").symlink_to("nowhere.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "plain.csv").write_text("x")
    with (folder / "large.csv").open("wb") as file:
        file.truncate(200_000_000)
    return {
        "pipe.csv": "this is a device, pipe or socket",
        "folder.csv": "this is a folder",
        "zero.csv": "this is a device, pipe or socket",
        "broken.csv": "no such file",
        "loop.csv": "Too many levels of symbolic links",
        "plian.csv": "no such file; did you mean 'plain.csv'?",
        "no/such.csv": "no such file",
        "plain.csv/x.csv": "Not a directory",
        "a\0b.csv": "null byte",
        f"{'x' * 300}.csv": "File name too long",
    }


def refused(read, path: Path) -> str:
    began = time.process_time()
    with pytest.raises(InvalidInput) as error:
        read(path)
    assert time.process_time() - began < 1
    assert error.value.place.startswith(str(path))
    return str(error.value)


def test_a_path_that_leads_to_no_file_is_refused(tmp_path):
    for name, words in odd_paths(tmp_path).items():
        assert words in refused(lambda path: read_text(str(path)), tmp_path / name), name
    large = refused(lambda path: read_text(str(path)), tmp_path / "large.csv")
    assert "the file is too large; allowed: at most 8,000,000 bytes" in large


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("kind: Plan\nname: é".encode("latin-1"), "yaml:2: not UTF-8 text; got byte 0xe9 at offset 17; save the file as UTF-8"),
        ("kind: Plan".encode("utf-16"), "yaml:1: not UTF-8 text; got byte 0xff at offset 0"),
        (b"\xed\xa0\x80", "not UTF-8 text"),  # a surrogate
    ],
)  # fmt: skip
def test_bytes_that_are_not_utf_8_are_named_with_line_and_offset(tmp_path, content, words):
    (tmp_path / "f.yaml").write_bytes(content)
    assert words in refused(lambda path: read_text(str(path)), tmp_path / "f.yaml")


def test_the_byte_order_mark_of_utf_8_is_no_part_of_the_text(tmp_path):
    (tmp_path / "f.yaml").write_text("kind: Plan", encoding="utf-8-sig")
    assert read_text(str(tmp_path / "f.yaml")) == "kind: Plan"
