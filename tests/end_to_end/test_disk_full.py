"""On a disk that is really full, a run ends with a clear error and no partial files, and later resumes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.manifests.errors import AssayError
from tests import builders

ARMS = {"control": builders.variant(), "better": builders.ARMS["better"]}
OWN_MOUNTS = ["unshare", "--mount", "--map-root-user"]


def is_permitted() -> bool:
    try:
        tried = subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "x", "/mnt"], check=False, capture_output=True)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def run(experiment: Path) -> pipeline.Prepared:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


def digest_of(prepared: pipeline.Prepared) -> str:
    return document(prepared.store, prepared.run.run_id).plain()["scores_digest"]


def fill_and_make_room(folder: Path) -> None:
    """Runs on a disk of 100 kB, then again with more space; prints the error, leftover files, digest and problems."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "small", disk], check=True)
    experiment = builders.write_experiment(folder, ledger="disk/ledger", arms=ARMS)
    with pytest.raises(AssayError) as caught:
        run(experiment)
    left = [file.name for file in disk.rglob(".tmp/*")]
    subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
    prepared = run(experiment)
    problems = [vars(each) for each in verify_ledger(prepared.store).problems]
    said = str(caught.value)
    print(json.dumps({"error": said, "left": left, "digest": digest_of(prepared), "problems": problems}))


@pytest.mark.skipif(not is_permitted(), reason="needs user and mount namespaces")
def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(tmp_path):
    for name in ("calm", "full"):
        (tmp_path / name).mkdir()
    expected = digest_of(run(builders.write_experiment(tmp_path / "calm", arms=ARMS)))
    answered = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-m", "tests.end_to_end.test_disk_full", str(tmp_path / "full")],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(answered.stdout.splitlines()[-1])
    assert "No space left on device" in found["error"]
    assert found["left"] == []
    assert found["digest"] == expected
    assert found["problems"] == []


if __name__ == "__main__":
    fill_and_make_room(Path(sys.argv[1]))
