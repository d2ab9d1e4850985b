"""Environment: the software that numbers depend on, and the machine on which they were computed."""

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

from assay.evaluator.provenance.distributions import normalised

Value = str | int | None

_IDENTITY_PACKAGES = ("assay", "numpy", "pyarrow", "torch")
_NVIDIA = Path("/proc/driver/nvidia")
_CPU = Path("/proc/cpuinfo")
_CONTAINER_VARIABLE = "ASSAY_CONTAINER_IMAGE"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Environment:
    """The environment of a process. It never includes all environment variables, because some of them are secrets.

    Attributes:
        identity: What must be equal for numbers to be comparable: `python` (major and minor version) and the version
            of each package that scores pass through; None if it is not installed as a package. torch's version
            includes its build, such as `2.13.0+cpu`.
        circumstance: What is recorded in addition: `host`, `os`, `machine`, `python_build`, `cpu`, `num_cpus`, `gpus`
            (all of the machine's, visible to the process or not), `cuda_visible_devices`, `cuda`, `cudnn`, `nccl`,
            `gpu_driver`, `torch_commit`, `kernel`, `container_image` (from the environment variable
            `ASSAY_CONTAINER_IMAGE`), the thread settings, `num_packages`, and `packages_digest` over all installed
            packages.
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
    """Captures the environment of this process."""
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
    """The version of every installed package by its normalised name. The first one on the path takes precedence."""
    packages: dict[str, str] = {}
    for folder in reversed(sys.path):
        packages |= _packages_in(folder, _changed_ns(folder))
    return packages


def _changed_ns(folder: str) -> int:
    with suppress(OSError):
        return Path(folder or ".").stat().st_mtime_ns
    return 0


@lru_cache  # reading hundreds of small files takes a quarter of a second, and each run and each slot needs them
def _packages_in(folder: str, _changed_ns: int) -> Mapping[str, str]:
    """The packages of one folder on the path.

    pip modifies that folder with every package that it installs, upgrades or removes, so a new modification time
    invalidates the cache. Changes within a package's own folder are not noticed by this process.
    """
    packages: dict[str, str] = {}
    for distribution in metadata.distributions(path=[folder]):
        fields = distribution.metadata
        if fields["Name"]:  # the remains of a broken uninstall have no name
            packages.setdefault(normalised(fields["Name"]), fields["Version"])
    return MappingProxyType(packages)


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
    """The models of the machine's GPUs, from the driver's files: asking torch would allocate memory on each GPU."""
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
    fields = file.read_text().splitlines()[0].split()
    return next((field for field in fields if field[0].isdigit()), " ".join(fields))
