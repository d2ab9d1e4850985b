import os
import random
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from assay.evaluator import determinism
from assay.manifests import Determinism


@pytest.fixture(autouse=True)
def _flags_as_they_were():
    threads, workspace = torch.get_num_threads(), os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.use_deterministic_algorithms(mode=False)
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = False
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
    if workspace is None:
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Determinism(), (True, False, True, False, False, 1)),
        (Determinism(algorithms="warn", tf32="allow", threads=2), (True, True, True, True, True, 2)),
        (Determinism(algorithms="any"), (False, False, False, False, False, 1)),
    ],
)
def test_what_is_asked_is_found(asked, expected):
    determinism.apply(asked)
    found = determinism.flags_in_force()
    assert not found.cudnn_benchmark
    assert (
        found.deterministic_algorithms,
        found.warn_only,
        found.cudnn_deterministic,
        found.matmul_tf32,
        found.cudnn_tf32,
        found.num_threads,
    ) == expected


def test_an_operation_without_a_deterministic_form_is_refused():
    # torch documents put_ without accumulate as nondeterministic
    def put():
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]), accumulate=False)

    determinism.apply(Determinism(algorithms="any"))
    put()
    determinism.apply(Determinism())
    with pytest.raises(RuntimeError, match="deterministic"):
        put()


def test_the_workspace_of_cublas_is_set_but_a_given_one_kept(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    determinism.apply(Determinism())
    assert determinism.flags_in_force().cublas_workspace_config == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    determinism.apply(Determinism())
    assert determinism.flags_in_force().cublas_workspace_config == ":16:8"


def test_a_variant_that_changes_a_flag_is_found_out():
    determinism.apply(Determinism())
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(mode=False)
    found = determinism.flags_in_force()
    assert found.num_threads == 2
    assert not found.deterministic_algorithms


def test_flags_set_in_parts_do_not_stop_the_reading():
    # in a process of its own: torch cannot return from the newer flags to the older ones
    code = (
        "import torch; from assay.evaluator import determinism; from assay.manifests import Determinism;"
        "determinism.apply(Determinism());"
        "torch.backends.cudnn.conv.fp32_precision = 'tf32'; torch.backends.cudnn.rnn.fp32_precision = 'ieee';"
        "print(determinism.flags_in_force().cudnn_tf32)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "None\n"


def test_a_variants_code_can_still_use_cudnns_flags():
    determinism.apply(Determinism())
    with torch.backends.cudnn.flags(enabled=True):
        pass


def test_one_seed_gives_one_sequence_from_every_generator():
    def drawn(seed):
        determinism.seed_all(seed)
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002  # a variant's code may

    assert drawn(7) == drawn(7)
    assert all(one != other for one, other in zip(drawn(7), drawn(8), strict=True))
    assert drawn(2**32 + 7)[1] == drawn(7)[1]  # a seed beyond NumPy's range is no error


def test_what_is_found_can_be_written_as_json():
    assert all(isinstance(value, bool | int | str | None) for value in asdict(determinism.flags_in_force()).values())


def test_no_pass_over_a_unit_draws_what_another_draws():
    drawn = set()
    for seed in range(30):
        for unit in range(30):
            determinism.seed_all(determinism.unit_seed(seed, unit=unit))
            of_numpy = float(np.random.random())  # noqa: NPY002  # what a variant draws from
            drawn.add((random.random(), of_numpy, float(torch.rand(1, dtype=torch.float64))))
    assert [len(set(each)) for each in zip(*drawn, strict=True)] == [900] * 3
