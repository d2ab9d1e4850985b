"""Variants that touch nothing, but whose predictions depend on everything in their process that others could touch."""

import builtins
import decimal
import functools
import gc
import hashlib
import json
import locale
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings

import numpy as np
import torch
from torch import nn


def settings():
    """What variants may set, as plain values that are equal in two processes that nobody has touched."""
    flags = torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark
    return {
        "torch": (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.tensor(1e-40).add(0).item(),  # 0 if denormal numbers are flushed
            _digest(torch.random.get_rng_state().numpy().tobytes()),
            len(torch.nn.modules.module._global_forward_hooks),
            torch.nn.functional.gelu(torch.tensor([0.3])).tolist(),
            nn.Linear.forward.__qualname__,
            torch.overrides._get_current_function_mode() is None,
            flags,
        ),
        "numpy": (
            np.geterr(),
            np.where([True, False], 1, 2).tolist(),
            _digest(np.random.get_state()[1].tobytes()),
            str(np.array([1 / 3])),
            np.float64.__name__,
        ),
        "python": (
            _digest(repr(random.getstate()).encode()),
            warnings.filters,
            [path for path in sys.path if "untouched" in path],
            "stub_module" in sys.modules,
            builtins.len is len and len([1, 2]) == 2,
            builtins.open.__module__,
            gc.isenabled(),
            sys.getrecursionlimit(),
            sys.getswitchinterval(),
            sys.gettrace(),
            sys.getprofile(),
            threading._profile_hook if hasattr(threading, "_profile_hook") else None,
            sys.excepthook is sys.__excepthook__,
            sys.stdout is sys.__stdout__,
            decimal.getcontext().prec,
            locale.setlocale(locale.LC_ALL),
            json.dumps({"a": 1.5}),
            time.time.__module__,
            hash("text"),
            sys.meta_path.__len__(),
            os.path.join("a", "b"),
            functools.reduce.__module__,
        ),
        "process": (
            os.getcwd(),
            _umask(),
            {number: str(signal.getsignal(number)) for number in (1, 2, 3, 13, 14, 15, 17)},
            sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            resource.getrlimit(resource.RLIMIT_NOFILE),
            resource.getrlimit(resource.RLIMIT_CPU),
            resource.getrlimit(resource.RLIMIT_STACK),
            os.getpriority(os.PRIO_PROCESS, 0),
            sorted(os.sched_getaffinity(0)),
            time.tzname,
            sorted(each for each in os.environ.items() if not each[0].startswith(("TMPDIR", "PYTEST", "RAY_"))),
            threading.active_count() < 20,
            os.listdir(os.environ["TMPDIR"]) if "assay-worker-" in os.environ.get("TMPDIR", "") else [],
        ),
    }


def _digest(content):
    return hashlib.sha256(content).hexdigest()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def looks(features):
    """A probability that depends on all settings, each of which moves it."""
    seen = repr(settings())
    if os.environ.get("SHOWN"):
        with open(os.environ["SHOWN"], "a") as file:
            file.write(seen + "\n")
    offset = int.from_bytes(hashlib.sha256(seen.encode()).digest()[:4], "big") / 2**32
    return (np.asarray(features["x"]) + offset) / 2


def computes(features):
    """A probability by NumPy."""
    x = np.asarray(features["x"])
    return np.where(x > 0.5, 1 / (1 + np.exp(-8 * (x - 0.5))), x / 2)


class Net(nn.Module):
    """Some layers with random weights."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(1, 16), nn.Linear(16, 2)

    def forward(self, x):
        hidden = torch.nn.functional.gelu(self.first(x[:, None].to(self.first.weight.dtype)))
        return torch.softmax(self.second(hidden), dim=1)[:, 1].float()


def build():
    """A module of torch."""
    return Net()
