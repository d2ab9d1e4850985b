"""A run on a real cluster that loses a process and the answers of its store ends with the scores of an undisturbed one.

What CI samples of it: tests/cluster/on_ray/test_failures.py loses processes of slots, test_kill.py the driver's, and
tests/evaluator/storage/test_retrying.py a store's answers.
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
    assert "1 of 1 schedules kept every promise" in ended.stdout
    assert "| actor | 1 | 1 |" in ended.stdout
