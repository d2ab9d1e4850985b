"""Builds small but complete experiments in a folder: rows, contract, suite, variants and their code."""

import json
import random
from pathlib import Path

import yaml

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.storage import open_store
from assay.manifests import Contract, Dataset, parse

CODE = '''
"""Variants with known predictions, which depend only on the feature x; the label is x > 0.5."""
import os
import time

import numpy as np


def threshold(features, *, cut=0.5, flip_every=0, delay_s=0.0, log=""):
    """Probability of class 1 from the feature x; about one row in `flip_every` is wrong."""
    time.sleep(delay_s)
    x = features["x"]
    certain = np.where(x > cut, 0.9, 0.1)
    if flip_every:
        wrong = (np.round(x * 1e6).astype(np.int64) % flip_every) == 0
        certain = np.where(wrong, 1 - certain, certain)
    if log:
        with open(log, "a") as file:
            file.write(f"{len(x)} {float(x[0])!r}\\n")
    return certain


def doubled(features):
    """Not a probability."""
    return 2 * threshold(features)


def mixing(features):
    """Class 1 above the mean of the batch: a row's prediction depends on the other rows in its batch."""
    return np.where(features["x"] > features["x"].mean(), 0.9, 0.1)


def raises(features, *, above=2.0):
    """Fails on batches in which an x exceeds `above`."""
    if features["x"].max() > above:
        raise RuntimeError("cannot take this batch")
    return np.where(features["x"] > 0.5, 0.9, 0.1)


def meets(features, *, processes, folder, flip_every=0):
    """Waits until this many processes have called it, so that no slot does all the work before another has started."""
    open(os.path.join(folder, str(os.getpid())), "w").close()
    ends = time.monotonic() + 120
    while len(os.listdir(folder)) < processes:
        if time.monotonic() > ends:
            raise RuntimeError("the other processes did not arrive")
        time.sleep(0.01)
    return threshold(features, flip_every=flip_every)


def kills_process(features, *, once="", flip_every=0):
    """Kills its own process, as a fault in native code would. With `once`, the path of a missing file, only once."""
    if once and os.path.exists(once):
        return threshold(features, flip_every=flip_every)
    if once:
        open(once, "w").close()
    os.kill(os.getpid(), 9)
'''

OWN_MODULES = {
    "cluster.py": "CUT = 0.5\n",
    "manifests.py": "FEATURE = 'x'\n",
    "evaluator/__init__.py": "",
    "evaluator/answers.py": CODE,
    "stats/__init__.py": "",
    "stats/own.py": """
from cluster import CUT
from evaluator.answers import threshold
from manifests import FEATURE


def predict(features, *, flip_every=0):
    return threshold({"x": features[FEATURE]}, cut=CUT, flip_every=flip_every)
""",
}
"""A user's own modules, which have the same names as Assay's folders."""

CONTRACT = {
    "kind": "Contract",
    "version": 1,
    "columns": [
        {"name": "key", "role": "id", "type": "string"},
        {"name": "x", "role": "feature", "type": "float64"},
        {"name": "y", "role": "label", "type": "int64"},
        {"name": "group", "role": "segment", "type": "string"},
    ],
}

SUITE = {
    "kind": "Suite",
    "version": 1,
    "batch_size": 32,
    "metrics": [
        {"name": "accuracy", "measure": "accuracy"},
        {"name": "log_loss", "measure": "log_loss"},
        {"name": "auroc", "measure": "auroc"},
    ],
    "plan": {
        "kind": "Plan",
        "version": 1,
        "metric": "accuracy",
        "scale": "binary",
        "control": "control",
        "guardrails": [{"kind": "metric", "metric": "log_loss", "margin": 0.5}],
        "columns": {"segment": "group"},
    },
    "policy": {"kind": "Policy", "version": 1},
}


def variant(function: str = "threshold", **parameters: object) -> dict:
    """A callable variant that calls a function of `CODE`."""
    return {
        "kind": "Variant",
        "version": 1,
        "predictor": "callable",
        "entrypoint": f"variants_under_test:{function}",
        "parameters": parameters,
        "output": "probabilities",
    }


def own_variant(**parameters: object) -> dict:
    """A variant in the modules that `write_own_modules` writes; it predicts the same as `threshold`."""
    return variant(**parameters) | {"entrypoint": "stats.own:predict"}


def write_own_modules(folder: Path) -> None:
    """Writes `OWN_MODULES` into a folder."""
    for name, source in OWN_MODULES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


ARMS = {
    "control": variant(flip_every=5),
    "better": variant(),
    "worse": variant(flip_every=2),
    "again": variant(flip_every=5),
}


def rows(num_rows: int, *, seed: int = 7) -> list[dict]:
    """Rows with a feature x in (0, 1) and the label x > 0.5."""
    generator = random.Random(seed)
    xs = [round(generator.random(), 6) for _ in range(num_rows)]
    return [{"key": f"row-{i:05d}", "x": x, "y": int(x > 0.5), "group": "ab"[i % 2]} for i, x in enumerate(xs)]


def write_rows(folder: Path, *, num_rows: int = 200) -> Path:
    """Writes the rows as a jsonl file and returns its path."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(num_rows)))
    return path


def freeze_rows(folder: Path, *, num_rows: int = 200, shard_rows: int = 32, has_ids: bool = True) -> Dataset:
    """Freezes the rows as small@v1 into the store `datasets` in the folder."""
    ids = {"role": "id" if has_ids else "ignored"}
    columns = [{**column, **(ids if column["role"] == "id" else {})} for column in CONTRACT["columns"]]
    contract = parse(yaml.safe_dump({**CONTRACT, "columns": columns}), file="contract.yaml", kind="Contract")
    assert isinstance(contract, Contract)
    source = write_rows(folder, num_rows=num_rows)
    store = open_store(str(folder / "datasets"))
    return freeze([source], contract=contract, reference="small@v1", store=store, shard_rows=shard_rows)


def write_experiment(
    folder: Path,
    *,
    arms: dict[str, dict] | None = None,
    suite: dict | None = None,
    resources: dict | None = None,
    ledger: str = "ledger",
    num_rows: int = 200,
    **fields: object,
) -> Path:
    """Writes a complete experiment with further `fields` into a folder and returns the path of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "variants_under_test.py").write_text(CODE)
    if not (folder / "datasets").exists():
        freeze_rows(folder, num_rows=num_rows)
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite or SUITE))
    experiment = {
        "kind": "Experiment",
        "version": 1,
        "name": "small",
        "dataset": "datasets/small@v1",
        "suite": "suite.yaml",
        "arms": [{"name": name, "variant": each} for name, each in (arms or ARMS).items()],
        "resources": resources or {},
        "ledger": ledger,
        **fields,
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    return path


def evaluated_batches(log: Path) -> list[str]:
    """The lines of a `threshold` log that are batches of units.

    The batch-size probe is left out: a batch, followed by its rows one by one.
    """
    lines = log.read_text().splitlines() if log.exists() else []
    is_single = [line.split()[0] == "1" for line in lines] + [False]
    return [line for index, line in enumerate(lines) if not is_single[index] and not is_single[index + 1]]
