"""Determinism: what makes the same inputs give the same bits, switched on and read back."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from assay.manifests.suite import Determinism

_WORKSPACE = ":4096:8"
"""The larger of the two settings under which cuBLAS promises the same bits (its Results reproducibility)."""


@dataclass(frozen=True)
class DeterminismFound:
    """The flags as torch holds them: a variant's code may have changed what the suite asked for.

    Attributes:
        deterministic_algorithms: Whether operations without a deterministic form are refused or reported.
        warn_only: Whether they are only reported.
        cudnn_deterministic: Whether cuDNN is held to deterministic kernels.
        cudnn_benchmark: Whether cuDNN picks kernels by timing them, and so may pick others next time.
        matmul_tf32: Whether matrix products may use TensorFloat-32; None if it is set in parts.
        cudnn_tf32: Whether convolutions may; None if it is set in parts.
        num_threads: Threads of one torch operation.
        num_interop_threads: Torch operations at once.
        default_dtype: The type of new floating tensors.
        cublas_workspace_config: The environment variable that cuBLAS reads when it starts.
        nvidia_tf32_override: The environment variable that overrules the TensorFloat-32 flags.
        python_hash_seed: The environment variable that orders Python's sets of strings.
    """

    deterministic_algorithms: bool
    warn_only: bool
    cudnn_deterministic: bool
    cudnn_benchmark: bool
    matmul_tf32: bool | None
    cudnn_tf32: bool | None
    num_threads: int
    num_interop_threads: int
    default_dtype: str
    cublas_workspace_config: str | None
    nvidia_tf32_override: str | None
    python_hash_seed: str | None


def apply(determinism: Determinism) -> None:
    """Switches this process to what a suite asks for. Call it before the first work on a GPU and before loading."""
    is_held = determinism.algorithms != "any"
    if is_held:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _WORKSPACE)  # read once, when cuBLAS starts
    torch.use_deterministic_algorithms(is_held, warn_only=determinism.algorithms == "warn")
    torch.backends.cudnn.deterministic = is_held
    torch.backends.cudnn.benchmark = False
    # The older pair of flags: after the newer fp32_precision, torch.backends.cudnn.flags() raises in a variant's code.
    torch.backends.cuda.matmul.allow_tf32 = determinism.tf32 == "allow"
    torch.backends.cudnn.allow_tf32 = determinism.tf32 == "allow"
    torch.set_num_threads(determinism.threads)


def seed_all(seed: int) -> None:
    """Seeds the global generators of Python, NumPy and torch, those of every device included.

    Ours take their generators as arguments; these are for the code of variants.

    Args:
        seed: Any whole number from 0; NumPy takes it modulo 2**32.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the generator that a variant's code would draw from
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # the same bits; manual_seed also queues the seed for absent devices, and formats a stack trace for each
        torch.default_generator.manual_seed(seed)


def unit_seed(seed: int, *, unit: int) -> int:
    """The seed of a unit: of neighbouring units and neighbouring seeds, none shares random numbers with another.

    Args:
        seed: The suite's, plus the number of the repeat.
        unit: The unit's index.
    """
    return int(np.random.SeedSequence((seed, unit)).generate_state(1, np.uint64)[0])


def flags_in_force() -> DeterminismFound:
    """Reads the flags back. Call it after a variant is loaded."""
    return DeterminismFound(
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn_deterministic=torch.backends.cudnn.deterministic,
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        matmul_tf32=_whole(lambda: bool(torch.backends.cuda.matmul.allow_tf32)),
        cudnn_tf32=_whole(lambda: bool(torch.backends.cudnn.allow_tf32)),
        num_threads=torch.get_num_threads(),
        num_interop_threads=torch.get_num_interop_threads(),
        default_dtype=str(torch.get_default_dtype()).removeprefix("torch."),
        cublas_workspace_config=os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        nvidia_tf32_override=os.environ.get("NVIDIA_TF32_OVERRIDE"),
        python_hash_seed=os.environ.get("PYTHONHASHSEED"),
    )


def _whole(flag: Callable[[], bool]) -> bool | None:
    """The flag; None where a variant has set its parts differently, of which torch then refuses to speak."""
    try:
        return flag()
    except RuntimeError:
        return None
