"""What a variant does to its inputs reaches nobody: no other batch, repeat, probe, timing or arm, and nothing stored."""

import signal
import sys
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter

from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shard_cache import ShardCache
from assay.evaluator.evaluate import evaluate
from assay.evaluator.list_columns import matrix
from assay.evaluator.predictors import InputWrittenError, kind_of
from assay.evaluator.probes.batch_size import probe
from assay.evaluator.probes.latency import BatchTimer, time_in_turn
from assay.evaluator.storage.local import LocalStore
from assay.manifests import Contract, Suite, parse
from assay.manifests.read_only_inputs import hint_on_signal
from assay.manifests.variant import Variant
from tests.child import exit_code_of
from tests.evaluator.data import tables

CODE = '''
"""Variants that overwrite what they are given, once they have read it."""
import numpy as np
import torch

SEEN = []


def answer(features):
    SEEN.append(features["x"].copy())
    notes = np.array([len(note or "") for note in features["note"]])
    parts = features["x"], features["flag"] / 3, notes / 7, np.nan_to_num(features["narrow"]) / 5, features["pair"].sum(axis=1)
    return 0.1 + 0.8 * (sum(parts) % 1)


def ruined(column):
    column[...] = column[::-1].copy()
    column[0] = None if column.dtype == object else 1


def writing(features):
    found = answer(features)
    for column in features.values():
        ruined(column)
    features.clear()
    return found


def copying(features):
    return writing({name: column.copy() for name, column in features.items()})


def reaching(features):
    """Writes wherever it can without being killed: to whole arrays behind views, and to memory that is no shard's."""
    found = answer(features)
    for column in features.values():
        for each in (column.base, column):
            try:
                each.flags.writeable = True
                ruined(each)
            except (AttributeError, ValueError):
                pass
    if len(found) == 1:  # a row of the batch-size probe
        np.add.at(features["x"], [0], 1.0)
    return found


def adding(features):  # NumPy's `at` does not ask whether it may write
    np.add.at(features["x"], [0], 1.0)
    return np.full(len(features["x"]), 0.5)


def sharing(features):
    torch.from_numpy(features["x"])[0] = 5
    return np.full(len(features["x"]), 0.5)


def seeing(features):
    SEEN.append(features["x"].copy())
    np.add.at(features["x"], [0], 1.0)
    return np.full(len(features["x"]), 0.5)


class Module(torch.nn.Module):
    def forward(self, x, narrow):
        found = torch.stack([x, torch.nan_to_num(narrow).double()], dim=1)
        x.mul_(0)
        narrow.fill_(7)
        return found


def module():
    return Module()
'''
COLUMNS = [
    {"name": "y", "role": "label", "type": "int64"},
    {"name": "x", "role": "feature", "type": "float64"},
    {"name": "flag", "role": "feature", "type": "bool"},
    {"name": "note", "role": "feature", "type": "string", "nullable": True},
    {"name": "narrow", "role": "feature", "type": "float32", "nullable": True},
    {"name": "pair", "role": "feature", "type": "float32", "shape": [2]},
]
NUM_ROWS = 300
X = np.round(np.random.default_rng(3).random(NUM_ROWS), 6)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Reads shards of 128 rows: of the batches of 50 rows, most are parts of a shard, and some are joined from two."""
    (tmp_path / "overwriting.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "overwriting", raising=False)
    contract = parse(yaml.safe_dump({"kind": "Contract", "version": 1, "columns": COLUMNS}), file="c", kind="Contract")
    assert isinstance(contract, Contract)
    rows = [
        {
            "y": int(x > 0.5),
            "x": float(x),
            "flag": row % 3 == 0,
            "note": None if row % 7 == 0 else "n" * (row % 5),
            "narrow": None if row % 4 == 0 else float(np.float32(x)),
            "pair": [row / 8, row / 16],
        }
        for row, x in enumerate(X)
    ]
    store = LocalStore(tmp_path / "store")
    dataset = freeze([tables.write(tmp_path / "r.jsonl", rows)], contract=contract, reference="t@v1", store=store, shard_rows=128)  # fmt: skip
    opened = ShardCache(dataset, store, run_id="r", bound_bytes=1 << 30, folder=tmp_path / "cache")
    yield opened
    assert not opened.problem
    opened.close()


PLAN = {"kind": "Plan", "version": 1, "metric": "brier", "direction": "lower", "control": "a"}


def suite(repeats: int = 2) -> Suite:
    metrics = [{"name": "brier", "measure": "brier"}]
    policy = {"kind": "Policy", "version": 1}
    fields = {
        "batch_size": 50,
        "repeats": repeats,
        "store_probabilities": "always",
        "metrics": metrics,
        "plan": PLAN,
        "policy": policy,
    }
    parsed = parse(yaml.safe_dump({"kind": "Suite", "version": 1, **fields}), file="suite.yaml", kind="Suite")
    assert isinstance(parsed, Suite)
    return parsed


def loaded(reader, function, **fields):
    given = {"kind": "Variant", "version": 1, "predictor": "callable", "output": "probabilities", "takes_missing": True}
    variant = TypeAdapter(Variant).validate_python({**given, "entrypoint": f"overwriting:{function}", **fields})
    inputs = variant.inputs or reader.dataset.names("feature")
    return kind_of(variant).load(variant, inputs=inputs, weights=None, device=torch.device("cpu")), variant


WHOLE = Unit(index=0, first_row=0, num_rows=NUM_ROWS, batch_size=50)


def results(reader, function, **fields):
    """The probe's result, the digest and the labels of the whole dataset, scored twice, and the next arm's digest."""
    predictor, variant = loaded(reader, function, **fields)
    sensitivity = probe(WHOLE, predictor=predictor, variant=variant, suite=suite(), reader=reader)
    digests = []
    for each, of in ((predictor, variant), (predictor, variant), loaded(reader, "copying")):
        result = evaluate(WHOLE, predictor=each, variant=of, suite=suite(), reader=reader)
        np.testing.assert_array_equal(result.table["label"].to_numpy(), X > 0.5)
        digests.append(result.digest)
    return sensitivity, digests


def test_a_variant_that_writes_to_its_copies_answers_like_one_that_copies_by_itself(reader):
    expected = results(reader, "copying")
    assert expected[0].max_abs_difference == 0.0
    assert len(set(expected[1])) == 1
    assert results(reader, "writing", writes_inputs=True) == expected


def test_what_can_be_written_without_leave_is_seen_by_nobody(reader):
    assert results(reader, "reaching") == results(reader, "copying")


def test_a_module_may_work_in_place(reader):
    predictor, variant = loaded(reader, "module", predictor="torch", inputs=("x", "narrow"), output="logits")
    scored = [evaluate(WHOLE, predictor=predictor, variant=variant, suite=suite(), reader=reader) for _ in range(2)]
    logits = np.stack([X, np.where(np.arange(NUM_ROWS) % 4, X.astype(np.float32), 0)], axis=1)
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(matrix(scored[0].table["probabilities"])[:, 1], expected, rtol=1e-6)
    assert scored[0].digest == scored[1].digest


def test_a_refused_write_is_raised_from_the_probe_too(reader):
    predictor, variant = loaded(reader, "writing")
    with pytest.raises(InputWrittenError, match="writes_inputs: true"):
        probe(WHOLE, predictor=predictor, variant=variant, suite=suite(), reader=reader)


def test_batches_that_are_timed_over_and_over_are_never_those_that_a_variant_wrote_to(reader):
    joined = Unit(index=0, first_row=0, num_rows=NUM_ROWS, batch_size=150)  # both batches are joined from two shards
    timers = [
        BatchTimer(joined, predictor=predictor, variant=variant, suite=suite(), reader=reader)
        for predictor, variant in (loaded(reader, "seeing"), loaded(reader, "seeing"))
    ]
    time_in_turn(*(timer.seconds for timer in timers), num_batches=5)
    seen = sys.modules["overwriting"].SEEN
    assert len(seen) == 2 * (9 + 5)
    for x in seen:
        assert any(np.array_equal(x, expected) for expected in (X[:150], X[150:]))


@pytest.mark.parametrize("function", ["adding", "sharing"])
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_a_write_that_nobody_refuses_kills_the_process_and_the_signal_has_a_hint(reader, function):
    for writes_inputs, expected in ((False, signal.SIGSEGV), (True, 0)):
        predictor, variant = loaded(reader, function, writes_inputs=writes_inputs)
        rescored = partial(evaluate, WHOLE, predictor=predictor, variant=variant, suite=suite(1), reader=reader)
        assert exit_code_of(rescored) == -expected
        assert ("'writes_inputs: true'" in hint_on_signal(variant, signal.SIGSEGV)) is not writes_inputs
    rows = reader.rows(0, NUM_ROWS)
    np.testing.assert_array_equal(rows["x"].to_numpy(), X)
