"""Determinism: sets the flags and seeds under which the same inputs give the same bits, and reads the flags back."""

import os
import random
from collections.abc import Callable

import numpy as np
import torch

from assay.evaluator.conditions import DeterminismFlags
from assay.manifests.suite import Determinism

_WORKSPACE = ":4096:8"
"""The larger of the two settings under which cuBLAS guarantees the same bits (cuBLAS manual, "Results
reproducibility")."""


def apply(determinism: Determinism) -> None:
    """Sets a suite's determinism flags in this process. Call it before anything uses a GPU and before loading.

    Args:
        determinism: The suite's settings.
    """
    is_deterministic = determinism.algorithms != "any"
    if is_deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _WORKSPACE)  # read once, when cuBLAS starts
    torch.use_deterministic_algorithms(is_deterministic, warn_only=determinism.algorithms == "warn")
    torch.backends.cudnn.deterministic = is_deterministic
    torch.backends.cudnn.benchmark = False
    # The older pair of flags: once the newer fp32_precision is set, torch.backends.cudnn.flags() raises, and a
    # variant's code may use it.
    torch.backends.cuda.matmul.allow_tf32 = determinism.tf32 == "allow"
    torch.backends.cudnn.allow_tf32 = determinism.tf32 == "allow"
    torch.set_num_threads(determinism.threads)


def seed_all(seed: int) -> None:
    """Seeds the global generators of Python, NumPy and torch, including torch's generator of every device.

    This is for the code of variants: Assay's own functions take their generators as arguments.

    Args:
        seed: Any integer from 0; NumPy's generator is seeded with it modulo 2**32.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the generator that a variant's code may draw from
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # same bits, but cheaper: manual_seed also queues the seed, with a stack trace, for each absent device
        torch.default_generator.manual_seed(seed)


def unit_seed(seed: int, *, unit: int) -> int:
    """The seed of a unit. Neighbouring units and neighbouring suite seeds get unrelated streams of random numbers.

    Args:
        seed: The suite's seed plus the number of the repeat (from 0).
        unit: The unit's index.
    """
    return int(np.random.SeedSequence((seed, unit)).generate_state(1, np.uint64)[0])


def flags_in_force() -> DeterminismFlags:
    """Reads the flags back. Call it after a variant has been loaded."""
    return DeterminismFlags(
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn_deterministic=torch.backends.cudnn.deterministic,
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        matmul_tf32=_flag_or_none(lambda: bool(torch.backends.cuda.matmul.allow_tf32)),
        cudnn_tf32=_flag_or_none(lambda: bool(torch.backends.cudnn.allow_tf32)),
        num_threads=torch.get_num_threads(),
        num_interop_threads=torch.get_num_interop_threads(),
        default_dtype=str(torch.get_default_dtype()).removeprefix("torch."),
        cublas_workspace_config=os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        nvidia_tf32_override=os.environ.get("NVIDIA_TF32_OVERRIDE"),
        python_hash_seed=os.environ.get("PYTHONHASHSEED"),
    )


def _flag_or_none(read: Callable[[], bool]) -> bool | None:
    """The flag; None if a variant has set the newer, finer flags inconsistently, in which case torch raises."""
    try:
        return read()
    except RuntimeError:
        return None
