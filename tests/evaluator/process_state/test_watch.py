"""The watch finds what code changes in this process, and says nothing of what happens by itself."""

import builtins
import decimal
import gc
import locale
import math
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from assay.evaluator import fingerprint
from assay.evaluator.metrics import row
from assay.evaluator.process_state.watch import ProcessWatch

LONG_AGO = 1.0e9


class OwnModule(types.ModuleType):
    """A module of the user."""

    def __init__(self, source: str) -> None:
        super().__init__("shared_by_arms")
        self.__file__ = "/home/user/shared_by_arms.py"
        exec(source, vars(self))


@pytest.fixture(scope="module")
def watch():
    return ProcessWatch()


@pytest.fixture
def look(watch):
    """Restarts the watch; then finds what was changed since."""
    watch.restart()
    watch.changes.clear()

    def found() -> dict[str, tuple[str, str]]:
        watch.look("arm 'a'", ["a"])
        return {each.what: (each.before, each.after) for each in watch.changes}

    return found


def entered(context):
    """Enters a context, and returns what leaves it."""
    stack = ExitStack()
    stack.enter_context(context)
    return stack.close


def replaced(owner, name, value):
    """Replaces an attribute, and returns what restores it."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)


def with_other_body():
    before, F.mish.__code__ = F.mish.__code__, (lambda tensor, inplace=False: tensor).__code__
    return lambda: setattr(F.mish, "__code__", before)


def with_environment():
    os.environ["OMP_PLACES"] = "cores"
    return lambda: os.environ.pop("OMP_PLACES")


def in_folder(folder: str):
    before = Path.cwd()
    os.chdir(folder)
    return lambda: os.chdir(before)


def set_to(setter, now, before):
    setter(now)
    return lambda: setter(before)


def thread():
    ends = threading.Event()
    started = threading.Thread(target=ends.wait, name="of an arm")
    started.start()
    return lambda: (ends.set(), started.join())


def flush():
    torch.set_flush_denormal(True)
    return lambda: torch.set_flush_denormal(False)


HOOK = torch.nn.modules.module.register_module_forward_hook
CHANGES = {
    "torch's default dtype": lambda: set_to(torch.set_default_dtype, torch.float64, torch.float32),
    "torch's default device": lambda: set_to(torch.set_default_device, "meta", None),
    "torch's autocast on cpu": lambda: entered(torch.autocast("cpu")),
    "torch's gradient mode": lambda: set_to(torch.set_grad_enabled, False, True),
    "torch's inference mode": lambda: entered(torch.inference_mode()),
    "torch's anomaly mode": lambda: set_to(torch.autograd.set_detect_anomaly, True, False),
    "torch: mkldnn_enabled": lambda: entered(torch.backends.mkldnn.flags(enabled=False)),
    "torch: float32_matmul_precision": lambda: set_to(torch.set_float32_matmul_precision, "medium", "highest"),
    "torch: flash_sdp_enabled": lambda: set_to(torch.backends.cuda.enable_flash_sdp, False, True),
    "torch: deterministic_fill_uninitialized_memory": lambda: replaced(
        torch.utils.deterministic, "fill_uninitialized_memory", False
    ),
    "torch: len_torch_function_stack": lambda: entered(TorchFunctionMode()),
    "torch.nn: global_forward_hooks": lambda: HOOK(lambda *_: None).remove,
    "torch.nn.functional.gelu": lambda: replaced(F, "gelu", F.relu),
    "torch.nn.functional.mish": with_other_body,
    "torch.nn.modules.linear.Linear.forward": lambda: replaced(torch.nn.Linear, "forward", lambda self, x: x),
    "torch.Tensor.backward": lambda: replaced(torch.Tensor, "backward", None),
    "numpy.where": lambda: replaced(np, "where", lambda *_: 0),
    "numpy.pi": lambda: replaced(np, "pi", 3.0),
    "numpy.linalg.norm": lambda: replaced(np.linalg, "norm", len),
    "numpy.seterr": lambda: entered(np.errstate(all="raise")),
    "pandas.DataFrame.mean": lambda: replaced(pd.DataFrame, "mean", None),
    "pyarrow.compute.sum": lambda: replaced(pc, "sum", pc.mean),
    "builtins.round": lambda: replaced(builtins, "round", int),
    "math.exp": lambda: replaced(math, "exp", math.expm1),
    "random.random": lambda: replaced(random, "random", float),
    "time.time": lambda: replaced(time, "time", lambda: LONG_AGO),
    "assay.evaluator.fingerprint.rows_digest": lambda: replaced(fingerprint, "rows_digest", lambda table: "sha256:0"),
    "assay.evaluator.metrics.row.score": lambda: replaced(row, "score", lambda *_: 1.0),
    "module json": lambda: replaced_module("json"),
    "environment variable OMP_PLACES": with_environment,
    "working directory": lambda: in_folder("/"),
    "umask": lambda: set_to(os.umask, 0o077, 0o022),
    "sys.path": lambda: (sys.path.append("/elsewhere"), lambda: sys.path.remove("/elsewhere"))[1],
    "sys.setrecursionlimit": lambda: set_to(sys.setrecursionlimit, 5000, sys.getrecursionlimit()),
    "filters of warnings": lambda: entered(warnings.catch_warnings(action="error")),
    "gc": lambda: (gc.disable(), gc.enable)[1],
    "decimal's context": lambda: entered(decimal.localcontext(prec=3)),
    "locale": lambda: set_to(lambda each: locale.setlocale(locale.LC_NUMERIC, each), "C.UTF-8", "C"),
    "handler of signal 10": lambda: set_to(lambda each: signal.signal(signal.SIGUSR1, each), print, signal.SIG_DFL),
    "blocked signals": lambda: (
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}),
        lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2}),
    )[1],
    "limit RLIMIT_CORE": lambda: limited(resource.RLIMIT_CORE),
    "socket.setdefaulttimeout": lambda: set_to(socket.setdefaulttimeout, 1.0, None),
    "sys.stdout": lambda: replaced(sys, "stdout", sys.__stderr__),
    "threads left running": thread,
    "denormal numbers": flush,
}


def replaced_module(name):
    before = sys.modules[name]
    sys.modules[name] = types.ModuleType(name)
    return lambda: sys.modules.__setitem__(name, before)


def limited(which):
    soft, hard = resource.getrlimit(which)
    resource.setrlimit(which, (0 if soft else min(1, hard), hard))
    return lambda: resource.setrlimit(which, (soft, hard))


def test_each_change_is_found_with_what_it_was_before(look):
    with ExitStack() as restoring:
        for change in CHANGES.values():
            restoring.callback(change())
        found = look()
    assert CHANGES.keys() - found.keys() == set()
    assert all(before != after for before, after in found.values())


def test_what_happens_by_itself_is_no_change(look):
    import colorsys  # noqa: F401  # a lazy import
    import wave  # noqa: F401

    torch.nn.functional.gelu(torch.randn(8, 8)) @ torch.randn(8, 8)
    pd.DataFrame({"a": [1.5, 2.5]}).describe().to_json()
    pc.sum(pc.multiply([1, 2], 2))
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    decimal.Decimal(1) / decimal.Decimal(3)
    with warnings.catch_warnings(), np.errstate(all="ignore"), torch.no_grad(), ThreadPoolExecutor(1) as pool:
        pool.submit(math.sqrt, 2.0).result()
    idle = ThreadPoolExecutor(1)
    idle.submit(math.sqrt, 2.0).result()
    time.sleep(0.05)
    gc.collect()
    try:
        assert look() == {}
    finally:
        idle.shutdown()


@pytest.mark.parametrize(
    "write",
    [
        "SCALE = 2.0",
        "CACHE['a'] = 1",
        "CUTS[0] = 9",
        "WEIGHTS += 1",
        "MODEL = object()",
        "STATE.scale = 2",
        "K.scale = 2",
    ],
)
def test_the_state_of_a_module_concerns_the_arms_that_import_it(watch, look, monkeypatch, write):
    source = (
        "import numpy as np\nimport types\nSCALE = 1.0\nCACHE = {}\nCUTS = [1, 2]\nWEIGHTS = np.zeros(3)\nMODEL = None\n"
        "STATE = types.SimpleNamespace(scale=1)\nclass K:\n    scale = 1\nK.__module__ = 'shared_by_arms'\n"
    )
    module = OwnModule(source)
    monkeypatch.setitem(sys.modules, "shared_by_arms", module)
    watch.restart()
    exec(write, vars(module))
    (what,) = look()
    assert what.startswith("shared_by_arms.")
    assert "arm 'a' changed shared_by_arms." in watch.altered_by("b", ["shared_by_arms"])
    assert watch.altered_by("b", ["another"]) == ""
    assert watch.altered_by("a", ["shared_by_arms"]) == ""


def test_only_what_scores_are_analysed_with_alters_the_analysis(watch, look):
    restore = [replaced(F, "gelu", F.relu), set_to(torch.set_default_dtype, torch.float64, torch.float32)]
    look()
    assert watch.altered_analysis() == ""
    restore.append(replaced(np, "where", lambda *_: 0))
    look()
    for each in restore:
        each()
    assert watch.altered_analysis().startswith("arm 'a' changed numpy.where from ")


def test_credentials_are_not_told(watch, look, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "hunter2-hunter2")
    look()
    assert "SERVICE_TOKEN" in watch.altered_by("b", [])
    assert "hunter2" not in watch.altered_by("b", [])
