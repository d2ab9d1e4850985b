"""What the processes of workers inherit: environment variables and the search path of modules."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def search_path(import_paths: Sequence[str]) -> list[str]:
    """The search path of a worker: that of this process, after the folders that entrypoints may be imported from."""
    return [*import_paths, *(str(Path(path).absolute()) for path in sys.path if path not in import_paths)]


def of_workers(devices: str | None) -> dict[str, str]:
    """The environment variables of workers.

    Args:
        devices: The GPUs that they see, as `CUDA_VISIBLE_DEVICES`; None: those of this process.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONBREAKPOINT"}  # Ray's debugger
    return {
        "PYTHONHASHSEED": "0",  # otherwise sets of texts would have another order in each slot
        **inherited,
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # otherwise asking for GPUs would start CUDA in the zygote
        **({} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}),
    }
