"""The client example of cluster/README.md runs against a real head."""

import os
import subprocess
import sys

import pytest

from tests import readme
from tests.ray_head import Head

README = readme.ROOT / "cluster" / "README.md"


@pytest.mark.ray
def test_the_readmes_client_example_submits_follows_and_reads_its_result(tmp_path, head: Head):
    blocks = {block.title: block for block in readme.readme(README).blocks if block.is_file}
    script = blocks["on_cluster.py"].text
    assert script.count("http://127.0.0.1:8265") == 1
    readme.run(
        (*blocks.values(), _console("assay freeze points.csv --contract contract.yaml --as points@v1")), tmp_path
    )
    (tmp_path / "on_cluster.py").write_text(script.replace("http://127.0.0.1:8265", head.address))
    answer = subprocess.run(
        [sys.executable, "on_cluster.py"],
        cwd=tmp_path,
        env={**os.environ, "RAY_AUTH_TOKEN": head.token},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert "hold [('lower', 'hold')]" in lines
    assert lines[-1] == "succeeded"


def _console(command: str) -> readme.Block:
    return readme.Block("cluster/README.md", "console", "", f"$ {command}\n")
