"""A transfer through a GPU gives the same results as a direct one."""

import numpy as np
import pytest
import torch

from assay.evaluator.predictors.kinds import kind_of
from tests.evaluator.predictors.builders import batch, loaded, variant

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def _on_gpu(function, *, inputs=("left",), **fields):
    given = variant(function, **fields)
    return kind_of(given).load(given, inputs=inputs, weights=None, device=torch.device("cuda"))


@pytest.mark.parametrize("function", ["echo", "in_place", "one_tensor_anywhere", "first_of_all", "half_precision"])
@pytest.mark.parametrize("num_batches", [1, 2, 3, 20])
def test_answers_are_those_of_the_direct_lane(function, num_batches):
    batches = [batch(seed=seed) for seed in range(num_batches)]
    found = _on_gpu(function).predict(batches)
    np.testing.assert_array_equal(found.raw, loaded(function).predict(batches).raw)
    assert len(found.batch_times_s) == num_batches
    assert all(seconds > 0 for seconds in found.batch_times_s)
    assert found.copy_s > 0
    assert found.forward_s > 0


def test_few_batches_are_taken_ahead_of_the_one_that_is_back():
    taken = []

    def batches():
        for seed in range(20):
            taken.append(seed)
            yield batch(seed=seed)

    predictor = _on_gpu("echo")
    ahead = [
        len(taken) - passed
        for passed, _ in enumerate(
            predictor._transfer.forwarded(batches(), inputs=("left",), forward=predictor._forward), start=1
        )
    ]
    assert max(ahead) <= 2


def test_large_batches_that_follow_closely_do_not_overwrite_each_other():
    large = [
        type(batch())(features={"left": np.full((4096, 1024), seed, dtype=np.float32)}, num_rows=4096)
        for seed in range(12)
    ]
    found = _on_gpu("echo").predict(large).raw
    np.testing.assert_array_equal(found[::4096, 0], np.arange(12))
    assert (found == np.repeat(np.arange(12), 4096)[:, None]).all()
