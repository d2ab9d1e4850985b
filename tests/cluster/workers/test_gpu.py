"""CUDA starts in workers only, and the memory of a GPU is free again when the worker that had it has ended."""

import json

import pytest
import torch

from tests.cluster.workers import arms

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU"),
]

NUM_BYTES = 1 << 30
SPREAD_BYTES = 64 << 20  # the driver itself and other processes on the GPU


def test_the_zygote_never_starts_cuda_and_the_memory_of_a_worker_is_free_after_it(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    notes.mkdir()
    holders = {name: arms.arm("on_gpu:holds", notes=str(notes)) for name in ("looks", "second", "third")}
    experiment = arms.write(tmp_path / "run", holders, max_slots=1, num_gpus=1.0)
    ended = arms.ran(experiment, monkeypatch)
    assert {row["arm"]: row["status"] for row in ended.report["arms"]} == dict.fromkeys(holders, "complete")
    seen = [
        json.loads(path.read_text()) for path in sorted(notes.glob("*.json"), key=lambda path: path.stat().st_mtime)
    ]
    assert len(seen) == len(holders)  # a process each
    assert len({each["zygote"] for each in seen}) == 1
    for each in seen:
        assert each["is_initialized"]
        assert not each["zygote_has_cuda"]
        assert not each["is_bad_fork"]
        assert each["free"] - each["left"] >= NUM_BYTES - SPREAD_BYTES
    # What the third arm found is what the first one found: nothing of the workers before is left on the GPU.
    assert abs(seen[2]["free"] - seen[0]["free"]) < SPREAD_BYTES
    assert arms.gone(tmp_path / "run") == {}
    assert arms.left_folders(tmp_path / "run") == []
