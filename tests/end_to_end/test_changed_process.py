"""Arms that share a process with code that changes it are held, in this run and in every later one."""

import os
import signal
import time
from pathlib import Path

import pytest

from assay.cluster.report.record import document
from assay.evaluator.ledger.version_log import entries
from assay.evaluator.storage import open_store
from tests import builders
from tests.forked import AssayProcess

pytestmark = pytest.mark.forked
CODE = """
import multiprocessing
import os
import sys
import threading

import numpy as np


def honest(features, *, flip_every=0):
    return np.where(np.round(features["x"] * 1e6).astype(np.int64) % flip_every == 0, 0.6, 0.4)


def patching(features):
    np.where = lambda condition, yes, no: np.full(len(condition), 0.5)
    return np.full(len(features["x"]), 0.5)


def pooled(features):
    with multiprocessing.Pool(2) as pool:
        return np.array(pool.map(float, features["x"].tolist()))


def leaves(features):
    threading.Thread(target=sys.exit).start()
    sys.exit(0)


def comes_back(features):
    if not os.fork():
        sys.exit(0)
    os.wait()
    return np.full(len(features["x"]), 0.5)
"""


def arm(entrypoint: str, **parameters: object) -> dict:
    return builders.variant(entrypoint=f"own_arms:{entrypoint}", parameters=parameters)


CONTROL, INNOCENT = arm("honest", flip_every=5), arm("honest", flip_every=7)


def write(folder: Path, arms: dict, **more: object) -> Path:
    experiment = builders.write_experiment(folder, arms=arms, **more)
    (folder / "own_arms.py").write_text(CODE)
    return experiment


def run(folder: Path, *options: str) -> tuple[int, str]:
    ended = AssayProcess("run", "experiment.yaml", "--in-process", *options, folder=folder).wait()
    return ended.returncode, ended.stderr


def report(folder: Path, run_id: str):
    return document(open_store(str(folder / "ledger")), run_id)
