"""A ledger of an earlier layout is refused by every command that opens it, with what to do; nothing is written to it."""

import json

import pytest

from tests import builders


@pytest.mark.parametrize(
    "command",
    [
        "run experiment.yaml --in-process",
        "run experiment.yaml --dry-run --in-process",
        "report small-1 --ledger ledger",
        "report small-1 --timing --ledger ledger",
        "gate small-1 --ledger ledger",
        "verify small-1 --in-process --ledger ledger",
        "analyze small-1 --plan plan.json --ledger ledger",
        "ledger ls --ledger ledger",
        "ledger show small-1 --ledger ledger",
        "ledger trace small-1 better accuracy --ledger ledger",
        "ledger diff small-1 small-2 --ledger ledger",
        "ledger log --ledger ledger",
        "ledger verify --ledger ledger",
        "ledger override small-1 better hold --reason why --by me --ledger ledger",
        "export mlflow small-1 --ledger ledger",
    ],
)
def test_a_ledger_of_layout_v1_is_refused(assay, tmp_path, command):
    builders.write_experiment(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps(builders.SUITE["plan"]))
    marker = tmp_path / "ledger" / "v1" / "FORMAT.json"
    marker.parent.mkdir(parents=True)
    marker.write_text('{"format": "assay-ledger", "layout": "v1"}')
    answer = assay(*command.split(), folder=tmp_path)
    assert answer.returncode in (1, 2), answer.stdout
    message = " ".join(answer.stderr.split())
    assert "this ledger has the layout v1 of an earlier release" in message
    assert "Name another location as `ledger` and run the experiment again" in message
    assert [path.name for path in (tmp_path / "ledger").rglob("*") if path.is_file()] == ["FORMAT.json"]
