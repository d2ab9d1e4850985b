"""The demo, as a new user runs it: a verdict on Ray, the same numbers without Ray, and no work done twice."""

import json
import os
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
    alone = json.loads(assay("demo", "--folder", "alone", "--in-process", "--json").stdout)
    assert alone["scores_digest"] == report["scores_digest"]
    assert alone["analysis"] == report["analysis"]

    ledger = tmp_path / "ray" / "ledger"
    before = {path: path.stat().st_mtime_ns for path in ledger.rglob("*.parquet")}
    again = assay("demo", "--folder", "ray", "--json")
    assert "nothing is evaluated again" in again.stderr
    assert json.loads(again.stdout) == report
    assert {path: path.stat().st_mtime_ns for path in ledger.rglob("*.parquet")} == before
