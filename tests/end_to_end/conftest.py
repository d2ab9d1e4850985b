"""The command line for tests."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.cluster.cli.main import main


@dataclass(frozen=True)
class Answer:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def assay(monkeypatch, capsys, tmp_path) -> Callable[..., Answer]:
    """Calls the console script's function in this process, because starting Python for every call would take minutes."""

    def call(*arguments: str, folder: Path = tmp_path) -> Answer:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["assay", *arguments])
        sys.modules.pop("variants_under_test", None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Answer(code or 0, *capsys.readouterr())

    return call
