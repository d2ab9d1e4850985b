"""Committed runs for tests that edit them."""

import shutil
from pathlib import Path

import pytest

from assay.cluster import pipeline
from tests import builders
from tests.cluster.verify.forger import Forger

ARMS = {
    "control": builders.variant(flip_every=5),
    "better": builders.variant(),
    "worse": builders.variant(flip_every=2),
    "doubled": builders.variant("doubled"),  # leaves about half of the rows without an answer
}
SUITE = {
    **builders.SUITE,
    "plan": {
        **builders.SUITE["plan"],
        "missing": "listwise",
        "guardrails": [
            {"kind": "metric", "metric": "log_loss", "margin": 0.5},
            {"kind": "latency", "quantity": "batch_p50", "max_ratio": 1000.0},
        ],
    },
}


def run(folder: Path, **fields: object) -> str:
    """Runs the experiment and returns the run's id."""
    experiment = builders.write_experiment(
        folder, **{"arms": ARMS, "suite": SUITE, "num_rows": 96, "prices": {"cpu_hour": 36000.0}, **fields}
    )
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared.run.run_id


@pytest.fixture(scope="session")
def committed(tmp_path_factory) -> tuple[Path, str]:
    """A committed run whose four arms have three units each; rows of one arm have no answer."""
    folder = tmp_path_factory.mktemp("committed")
    return folder / "ledger", run(folder)


@pytest.fixture
def forger(committed, tmp_path) -> Forger:
    """Edits a copy of that run."""
    ledger, run_id = committed
    shutil.copytree(ledger, tmp_path / "ledger")
    return Forger(tmp_path / "ledger", run_id)
