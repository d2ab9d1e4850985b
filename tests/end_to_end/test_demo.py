"""The demo as a newcomer runs it: a verdict on Ray, the same numbers without Ray, and no work done twice."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ASSAY = Path(sys.executable).parent / "assay"


def demo(folder: Path) -> dict:
    answer = subprocess.run(
        [ASSAY, "demo", "--folder", str(folder), "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in ("RAY_AUTH_MODE", "RAY_ADDRESS")},
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def check_readme(report: dict) -> None:
    """Compares the table in the README with a report. The last digit may differ from one kind of processor to another."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    rows = {line.split()[0]: line.split() for line in text.splitlines() if re.match(r"     [a-z0-9-]+ +0\.", line)}
    metrics = {arm["arm"]: arm["metrics"]["accuracy"] for arm in report["arms"]}
    assert list(rows) == list(metrics)
    for arm, (_, accuracy, *_) in rows.items():
        assert float(accuracy) == pytest.approx(metrics[arm], abs=0.002)
    decisions = {row["arm"]: row["decision"] for row in report["decisions"]}
    for each in report["analysis"]["comparisons"]:
        numbers = [float(number) for number in re.findall(r"[-+][\d.]+", " ".join(rows[each["arm"]][2:5]))]
        assert numbers == pytest.approx([each["estimate"], each["ci_low"], each["ci_high"]], abs=0.002)
        assert rows[each["arm"]][-1] == decisions[each["arm"]]


@pytest.mark.ray
def test_the_demo_ends_with_the_verdict_and_the_same_digest_on_ray_and_in_process(tmp_path, assay):
    report = demo(tmp_path / "ray")
    assert {row["arm"]: row["decision"] for row in report["decisions"]} == {
        "convolution": "promote",
        "int8": "hold",
        "undertrained": "reject",
        "baseline-again": "hold",
    }
    again = next(row for row in report["analysis"]["comparisons"] if row["arm"] == "baseline-again")
    assert (again["estimate"], again["ci_low"], again["ci_high"], again["p_adjusted"]) == (0, 0, 0, 1)
    check_readme(report)
    alone = json.loads(assay("demo", "--folder", "alone", "--in-process", "--json").stdout)
    assert alone["scores_digest"] == report["scores_digest"]
    assert alone["analysis"] == report["analysis"]

    ledger = tmp_path / "ray" / "ledger"
    before = {path: path.stat().st_mtime_ns for path in ledger.rglob("*.parquet")}
    again = assay("demo", "--folder", "ray", "--json")
    assert "nothing is evaluated again" in again.stderr
    assert json.loads(again.stdout) == report
    assert {path: path.stat().st_mtime_ns for path in ledger.rglob("*.parquet")} == before
