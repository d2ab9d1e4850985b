"""Files of code have the same names and digests in every checkout."""

import os
from pathlib import Path

from assay.evaluator.provenance.code_files import code_file_digest, files_under, name_under


def test_line_endings_do_not_show_in_the_digest_of_a_source(tmp_path):
    digests = []
    for newline in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "code.py").write_bytes(b"x = 1" + newline + b"y = 2" + newline)
        digests.append(code_file_digest(tmp_path / "code.py"))
    assert len(set(digests)) == 1


def test_files_of_linked_folders_are_found_once_and_caches_are_not(tmp_path):
    folder = tmp_path / "code"
    for name in ("code/a.py", "code/__pycache__/a.pyc", "elsewhere/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "itself").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "absent")
    assert files_under(folder) == [folder / "a.py", folder / "linked" / "b.py"]


def test_a_name_that_is_not_utf8_is_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.py")
    assert name_under(tmp_path / "sub" / name, [tmp_path]) == "sub/caf\\xe9.py"
    assert name_under(Path("/other/x.py"), [tmp_path]) == "/other/x.py"
