"""What manifests/README.md says beyond what every README is checked for: quoted files, an error, and what runs code."""

import re
import sys

import pytest
from typer.testing import CliRunner

from assay.cluster.cli import main
from assay.manifests import ManifestError, parse
from tests import builders
from tests.readme import ROOT, readme

PAGE = readme(ROOT / "manifests" / "README.md")
QUOTED = re.compile(r"\]\((?P<file>examples/\w+\.yaml)\)[^`]*?:\n\n```yaml\n(?P<text>.*?)```", re.DOTALL)


def command(*arguments: str) -> int:
    """Runs the command line with freshly imported code; returns its exit code."""
    sys.modules.pop("variants_under_test", None)
    return CliRunner().invoke(main.app, arguments).exit_code


def test_quoted_examples_are_the_files():
    quoted = {match["file"]: match["text"] for match in QUOTED.finditer(PAGE.path.read_text())}
    assert len(quoted) == 6
    for file, text in quoted.items():
        assert text == (PAGE.path.parent / file).read_text(), file


def test_the_error_that_is_shown_is_the_message():
    (shown,) = [block.text.strip() for block in PAGE.blocks if block.language == "text"]
    with pytest.raises(ManifestError) as caught:
        parse("kind: Plan\nversion: 1\ncontrol: a\nalpah: 0.01\n", file="plan.yaml")
    assert str(caught.value) == shown


@pytest.mark.parametrize("verb", ["gate", "report"])
def test_a_run_is_reviewed_by_its_id_without_importing_its_code(tmp_path, monkeypatch, verb):
    experiment = builders.write_experiment(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert command("run", str(experiment), "--in-process") == 0
    (run,) = [path.stem for path in (tmp_path / "ledger" / "v2" / "runs").iterdir()]
    imported = tmp_path / "imported"
    with (tmp_path / "variants_under_test.py").open("a") as code:
        code.write(f"\nopen({str(imported)!r}, 'w').close()\n")
    assert command(verb, run) in (0, 3, 4)
    assert not imported.exists()
    command(verb, str(experiment))  # to find the run, its code is imported
    assert imported.exists()
