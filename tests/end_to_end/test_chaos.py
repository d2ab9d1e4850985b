"""A run on a real cluster that loses a process and S3 responses ends with the scores of an undisturbed run.

Without --all, other tests cover parts of this: tests/cluster/on_ray/test_failures.py kills slot processes, test_kill.py
kills the driver, and tests/evaluator/storage/test_retrying.py loses the responses of a store.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "scripts" / "chaos.py"


@pytest.mark.extended
@pytest.mark.ray
def test_a_short_schedule_of_faults_breaks_no_promise():
    ended = subprocess.run(
        [sys.executable, str(CHAOS), "--quick"], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 of 1 schedules passed" in ended.stdout
    assert "| actor | 1 | 1 |" in ended.stdout
