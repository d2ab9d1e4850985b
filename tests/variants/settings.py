"""Variants that change a setting of their whole process, as ordinary code does, and then predict."""

import builtins
import decimal
import functools
import gc
import json
import locale
import os
import random
import resource
import signal
import sys
import time
import types
import warnings
from contextlib import suppress

import numpy as np
import torch
from torch import nn

_WHERE, _LEN = np.where, builtins.len


def _gelu(x, *args, **kwargs):
    return x * 0.5


def _scorer():
    """Replaces what rows are scored with."""
    scorer = sys.modules["assay.evaluator.metrics.row"]
    scorer.score = lambda *_args, _was=scorer.score, **_options: _was(*_args, **_options) * 0


def _stubs():
    sys.modules["stub_module"] = types.ModuleType("stub_module")
    sys.path.insert(0, "/untouched/by/others")


def _environment():
    os.environ.update(TZ="Asia/Tokyo", OMP_NUM_THREADS="7", ASSAY_X="1", CUDA_VISIBLE_DEVICES="3")
    time.tzset()


def _locale():
    for each in ("C.UTF-8", "C", "POSIX"):
        with suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, each)


def _temporary():
    with open(os.path.join(os.environ["TMPDIR"], "left"), "w") as file:
        file.write("left")


CHANGES = {
    # torch
    "default_dtype": lambda: torch.set_default_dtype(torch.bfloat16),
    "default_device": lambda: torch.set_default_device("meta"),
    "patched_gelu": lambda: setattr(nn.functional, "gelu", _gelu),
    "patched_linear": lambda: setattr(nn.Linear, "forward", lambda self, x: x.sum() + self.bias),
    "autocast_entered": lambda: torch.autocast("cpu", dtype=torch.bfloat16).__enter__(),
    "inference_entered": lambda: torch.inference_mode().__enter__(),
    "grad_off": lambda: torch.set_grad_enabled(False),
    "forward_hook": lambda: nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output * 0),
    "function_mode": lambda: torch.overrides.BaseTorchFunctionMode().__enter__(),
    "mkldnn_off": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "threads": lambda: torch.set_num_threads(3),
    "deterministic": lambda: torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled()),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "flush_denormal": lambda: torch.set_flush_denormal(True),
    "torch_seed": lambda: torch.manual_seed(99),
    # NumPy
    "patched_where": lambda: setattr(np, "where", lambda *args: np.zeros(1)),
    "numpy_seed": lambda: np.random.seed(99),
    "seterr": lambda: np.seterr(all="ignore"),
    "print_options": lambda: np.set_printoptions(precision=2),
    # Python
    "random_seed": lambda: random.seed(99),
    "warnings_as_errors": lambda: warnings.simplefilter("error"),
    "stub_modules": _stubs,
    "patched_len": lambda: setattr(builtins, "len", lambda each: _LEN(each) + 0),
    "gc_off": gc.disable,
    "recursion_limit": lambda: sys.setrecursionlimit(12_345),
    "switch_interval": lambda: sys.setswitchinterval(0.1),
    "profile": lambda: sys.setprofile(lambda *args: None),
    "excepthook": lambda: setattr(sys, "excepthook", lambda *args: None),
    "decimal": lambda: setattr(decimal.getcontext(), "prec", 3),
    "locale": _locale,
    "patched_json": lambda: setattr(json, "dumps", functools.partial(json.dumps, indent=1)),
    "patched_time": lambda: setattr(time, "time", lambda: 0.0),
    "patched_scorer": _scorer,
    # the process
    "directory": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o77),
    "signals": lambda: [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)],
    "open_files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
    "niceness": lambda: os.nice(1),
    "affinity": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    "environment": _environment,
    "temporary_file": _temporary,
    "stdout": lambda: setattr(sys, "stdout", open(os.devnull, "w")),
}


def changes(features, *, setting):
    """Changes the setting, then answers as before."""
    CHANGES[setting]()
    return _WHERE(np.asarray(features["x"]) > 0.5, 0.9, 0.1)


class ChangesAtLoad:
    """Changes the setting when it is loaded."""

    def __init__(self, setting):
        CHANGES[setting]()

    def __call__(self, features):
        return _WHERE(np.asarray(features["x"]) > 0.5, 0.9, 0.1)
