"""The digest of a file of code is the same in every checkout."""

from assay.evaluator.provenance.code_files import code_file_digest


def test_line_endings_do_not_show_in_the_digest_of_a_source(tmp_path):
    digests = []
    for newline in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "code.py").write_bytes(b"x = 1" + newline + b"y = 2" + newline)
        digests.append(code_file_digest(tmp_path / "code.py"))
    assert len(set(digests)) == 1
