"""Environment: the software that numbers depend on, and the machine that they were made on."""

import hashlib
import os
import platform
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import rfc8785
import torch
from torch.cuda import nccl

Value = str | int | None

_IDENTITY_PACKAGES = ("assay", "numpy", "pyarrow", "torch", "torchmetrics")
_NVIDIA = Path("/proc/driver/nvidia")
_CPU = Path("/proc/cpuinfo")
_CONTAINER_VARIABLE = "ASSAY_CONTAINER_IMAGE"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Environment:
    """What a process found around it. Never the environment variables as a whole: there are secrets among them.

    Attributes:
        identity: What must be equal for numbers to be comparable: `python` (major and minor version) and the version
            of each package that scores pass through, None where it is not installed as a package. torch's names its
            build too, such as `2.13.0+cpu`.
        circumstance: What is recorded beside it: `host`, `os`, `machine`, `python_build`, `cpu`, `num_cpus`, `gpus` (the
            machine's, seen or not), `cuda_visible_devices`, `cuda`, `cudnn`, `nccl`, `gpu_driver`, `torch_commit`,
            `kernel`, `container_image` (if `ASSAY_CONTAINER_IMAGE` tells it), the thread settings, and
            `packages_digest` over all installed packages.
        packages: The version of every installed package.
    """

    identity: Mapping[str, str | None]
    circumstance: Mapping[str, Value]
    packages: Mapping[str, str]

    @property
    def identity_digest(self) -> str:
        """The sha256 of the identity as canonical JSON (RFC 8785)."""
        return f"sha256:{hashlib.sha256(rfc8785.dumps(dict(self.identity))).hexdigest()}"


def capture() -> Environment:
    """Looks around."""
    packages = _packages()
    identity = {"python": ".".join(platform.python_version_tuple()[:2])}
    identity |= {name: packages.get(name) for name in _IDENTITY_PACKAGES}
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))
    circumstance: dict[str, Value] = {
        "host": socket.gethostname(),
        "os": platform.platform(),
        "kernel": f"{platform.release()} {platform.version()}",
        "container_image": os.environ.get(_CONTAINER_VARIABLE),
        "machine": platform.machine(),
        "python_build": f"{platform.python_implementation()} {platform.python_version()}",
        "cpu": _cpu_model(),
        "num_cpus": os.cpu_count(),
        "gpus": _gpu_models(),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "cuda": torch.version.cuda,
        "cudnn": _cudnn_version(),
        "nccl": _nccl_version(),
        "torch_commit": torch.version.git_version,
        "gpu_driver": _gpu_driver(),
        "num_threads": torch.get_num_threads(),
        "num_interop_threads": torch.get_num_interop_threads(),
        **{name.lower(): os.environ.get(name) for name in _THREAD_VARIABLES},
        "num_packages": len(packages),
        "packages_digest": f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}",
    }
    return Environment(MappingProxyType(identity), MappingProxyType(circumstance), MappingProxyType(packages))


def _packages() -> dict[str, str]:
    """The version of every installed package by its normal name; the first on the path is the one that is imported."""
    found: dict[str, str] = {}
    for folder in reversed(sys.path):
        found |= _packages_in(folder, _changed_ns(folder))
    return found


def _changed_ns(folder: str) -> int:
    with suppress(OSError):
        return Path(folder or ".").stat().st_mtime_ns
    return 0


@lru_cache  # to read hundreds of small files takes a quarter of a second, and each run and each slot asks
def _packages_in(folder: str, _changed_ns: int) -> Mapping[str, str]:
    """Those of one folder of the path.

    pip changes that folder with every package that it installs, upgrades or removes; what is rewritten within a
    package's own folder is not seen again by this process.
    """
    found: dict[str, str] = {}
    for distribution in metadata.distributions(path=[folder]):
        told = distribution.metadata
        if told["Name"]:  # what a broken uninstall leaves behind has none
            found.setdefault(told["Name"].lower().replace("_", "-").replace(".", "-"), told["Version"])
    return MappingProxyType(found)


def _cpu_model() -> str:
    if _CPU.is_file():
        for line in _CPU.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cudnn_version() -> int | None:
    return torch.backends.cudnn.version() if torch.cuda.is_available() else None


def _nccl_version() -> str | None:
    return ".".join(map(str, nccl.version())) if torch.cuda.is_available() else None


def _gpu_models() -> str | None:
    """The models of the machine's GPUs, from the kernel's own files: to ask torch would take memory on each of them."""
    models = [
        line.partition(":")[2].strip()
        for file in sorted(_NVIDIA.glob("gpus/*/information"))
        for line in file.read_text().splitlines()
        if line.startswith("Model:")
    ]
    return ", ".join(models) or None


def _gpu_driver() -> str | None:
    """The driver's version, from `NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.1 ...`."""
    file = _NVIDIA / "version"
    if not file.is_file():
        return None
    words = file.read_text().splitlines()[0].split()
    return next((word for word in words if word[0].isdigit()), " ".join(words))
