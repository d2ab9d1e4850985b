"""What an autoscaler cannot give is said soon. That nodes come and go is shown by `scripts/bench_autoscaling.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import builders
from tests.autoscaling import autoscaled_ray


@pytest.mark.ray
@pytest.mark.slow
def test_a_slot_that_no_node_type_has_room_for_is_refused_soon(tmp_path):
    experiment = builders.write_experiment(tmp_path, resources={"num_gpus": 8.0, "max_slots": 2})
    with autoscaled_ray() as cluster:
        command = [sys.executable, "-m", "assay.cluster.cli", "run", experiment.name]
        environment = {**os.environ, **cluster.variables, "PYTHONPATH": str(Path.cwd())}
        found = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert cluster.num_nodes() == 0
    assert found.returncode == 1
    assert "a slot needs 1 CPU and 8 GPU, and the cluster's autoscaler has no node type" in found.stderr
    assert "Traceback" not in found.stderr
