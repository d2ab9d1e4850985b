"""`assay contract infer`: the contract on standard output, or what is missing."""

import pytest
from typer.testing import CliRunner

from assay.cluster.cli.main import app
from assay.manifests.errors import InvalidInput
from assay.manifests.parse import parse


def ask(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["contract", "infer", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_what_is_printed_is_a_contract(tmp_path):
    path = tmp_path / "pets.csv"
    path.write_text("name,weight,species\nrex,30.5,dog\ntom,4.25,cat\n")
    asked = ask(str(path), "--label", "species", "--id", "name", "--encoding", "latin-1")
    found = parse(asked, file="contract.yaml", kind="Contract")
    assert [column.role for column in found.columns] == ["id", "feature", "label"]
    assert found.encoding == "latin-1"
    with pytest.raises(InvalidInput, match="--label NAME") as refusal:
        ask(str(path))
    assert refusal.value.exit_code == 2
