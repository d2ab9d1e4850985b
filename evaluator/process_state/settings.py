"""Settings that all code of this process shares and on which scores may depend, read without changing any.

Not among them are the states of random generators, which are set anew before every unit, and what
`evaluator.determinism.apply` sets anew before an arm is loaded.
"""

# pyright: reportPrivateUsage=false, reportAttributeAccessIssue=false
# Much of this state can be set, but not read, by public functions.

import ctypes
import ctypes.util
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import thread as futures_thread
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn.modules import module as torch_module

Settings = Mapping[str, str]
"""The values of settings as text, by names for people."""

_GETTERS_OF_TORCH = (
    "_get_autograd_fallback_mode",
    "_get_backcompat_broadcast_warn",
    "_get_backcompat_keepdim_warn",
    "_get_blas_preferred_backend",
    "_get_cpu_allow_fp16_reduced_precision_reduction",
    "_get_cublas_allow_bf16_reduced_precision_reduction",
    "_get_cublas_allow_fp16_accumulation",
    "_get_cublas_allow_fp16_reduced_precision_reduction",
    "_get_cudnn_enabled",
    "_get_cudnn_sdp_enabled",
    "_get_deterministic_fill_uninitialized_memory",
    "_get_fa3_sdp_enabled",
    "_get_flash_sdp_enabled",
    "_get_float32_matmul_precision",
    "_get_graph_executor_optimize",
    "_get_linalg_preferred_backend",
    "_get_math_sdp_allow_fp16_bf16_reduction",
    "_get_math_sdp_enabled",
    "_get_mem_efficient_sdp_enabled",
    "_get_miopen_immediate",
    "_get_mkldnn_deterministic",
    "_get_mkldnn_enabled",
    "_get_nnpack_enabled",
    "_get_onednn_allow_tf32",
    "_get_overrideable_sdp_enabled",
    "_get_qengine",
    "_get_sdp_priority_order",
    "_get_sm_carveout_experimental",
    "_get_tracing_state",
    "_get_warnAlways",
    "_is_fwd_grad_enabled",
    "_is_grad_layout_enforcement_enabled",
    "_is_multithreading_enabled",
    "_is_torch_function_all_disabled",
    "_is_torch_function_enabled",
    "_is_view_replay_enabled",
    "_is_xnnpack_enabled",
    "_len_torch_dispatch_stack",
    "_len_torch_function_stack",
)
_PRECISIONS = (
    ("generic", "all"),
    *(("cuda", operation) for operation in ("all", "matmul", "conv", "rnn")),
    *(("mkldnn", operation) for operation in ("all", "matmul", "conv", "rnn")),
)
_HARMLESS_VARIABLES = {"CUBLAS_WORKSPACE_CONFIG", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "PYTEST_CURRENT_TEST"}
"""Assay and scikit-learn set these when they are first used; the libraries that read them have read them by then."""
OF_ANALYSIS = ("rounding of floating-point numbers", "denormal numbers")
"""Settings on which also the analysis of scores depends."""
_DEBUGGERS = ("bdb", "pdb", "pydevd", "_pydevd", "debugpy", "coverage", "IPython")
_OWN_THREADS = ("publish", "prefetch", "ahead", "behind", "deadline")
VARIABLE = "environment variable "
"""With what the names of those settings begin that are variables of the environment."""


def captured() -> Settings:
    """Every setting as it is now; one that cannot be read has the error as its value."""
    values: dict[str, str] = {}
    for group in (_of_torch, _of_numpy, _of_python, _of_warnings, _of_process):
        for name, read in group():
            try:
                values[name] = str(read())
            except Exception as error:  # noqa: BLE001  # a setting may be in a state that its own getter refuses
                values[name] = f"unreadable ({type(error).__name__})"
    variables = {name: value for name, value in os.environ.items() if name not in _HARMLESS_VARIABLES}
    return values | {f"{VARIABLE}{name}": f"'{value}'" for name, value in variables.items()}


def _of_torch() -> Iterator[tuple[str, Callable[[], object]]]:
    """Settings of torch."""
    yield "torch's default dtype", torch.get_default_dtype
    yield "torch's default device", torch.get_default_device
    yield "torch's gradient mode", torch.is_grad_enabled
    yield "torch's inference mode", torch.is_inference_mode_enabled
    yield "torch's anomaly mode", lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
    for device in ("cpu", "cuda"):
        yield (
            f"torch's autocast on {device}",
            lambda device=device: f"{torch.is_autocast_enabled(device)}, {torch.get_autocast_dtype(device)}",
        )
    yield "torch's cache of autocast", torch.is_autocast_cache_enabled
    yield "torch's interop threads", torch.get_num_interop_threads
    yield "torch's print options", lambda: vars(torch._tensor_str.PRINT_OPTS)  # noqa: SLF001
    yield "torch's default generator", lambda: id(torch.default_generator)
    yield "torch.backends.cudnn.benchmark_limit", lambda: torch.backends.cudnn.benchmark_limit
    yield "torch.backends.mha fastpath", torch.backends.mha.get_fastpath_enabled
    yield "torch.backends.opt_einsum", lambda: (torch.backends.opt_einsum.enabled, torch.backends.opt_einsum.strategy)
    yield (
        "torch.__future__",
        lambda: (
            torch.__future__.get_overwrite_module_params_on_conversion(),
            torch.__future__.get_swap_module_params_on_conversion(),
        ),
    )
    yield "torch's saved-tensor hooks", lambda: bool(torch._C._autograd._top_saved_tensors_default_hooks(False))  # noqa: SLF001
    yield "torch's kernels registered by Python", _python_kernels
    for name in _GETTERS_OF_TORCH:
        getter = getattr(torch._C, name, None)  # noqa: SLF001  # what the public setters of torch.backends set
        if getter is not None:
            yield f"torch: {name.removeprefix('_get_').removeprefix('_is_').strip('_')}", getter
    for pair in _PRECISIONS:
        yield (
            f"torch's fp32_precision of {' '.join(pair)}",
            lambda pair=pair: torch._C._get_fp32_precision_getter(*pair),  # noqa: SLF001
        )
    for name, hooks in vars(torch_module).items():
        if name.startswith("_global_"):
            yield f"torch.nn: {name[1:]}", lambda hooks=hooks: _identities(hooks)


def _identities(hooks: object) -> object:
    """What a table of hooks holds, as identities."""
    return [id(each) for each in hooks.values()] if isinstance(hooks, Mapping) else hooks


def _python_kernels() -> int:
    """How many of torch's own operations have a kernel from Python for a device; torch itself adds only `Meta` ones."""
    kernels: set[str] = torch.library._impls  # noqa: SLF001  # there is no public reader
    return sum(name.startswith("aten/") and name.endswith(("CPU", "CUDA", "Autograd")) for name in kernels)


def _of_numpy() -> Iterator[tuple[str, Callable[[], object]]]:
    """Settings of NumPy, pandas, PyArrow and the BLAS library."""
    yield "numpy.seterr", np.geterr
    yield "numpy.seterrcall", np.geterrcall
    yield "numpy.setbufsize", np.getbufsize
    yield "numpy's print options", np.get_printoptions
    yield "numpy's global generator", lambda: id(np.random.mtrand._rand._bit_generator)  # noqa: SLF001
    yield "threads of OpenBLAS", _openblas_threads
    yield "pyarrow's threads", lambda: (pa.cpu_count(), pa.io_thread_count())
    yield "pyarrow's memory pool", lambda: pa.default_memory_pool().backend_name
    pandas = sys.modules.get("pandas._config.config")
    if pandas is not None:
        yield "pandas options", lambda: _flat(vars(pandas)["_global_config"])


def _flat(options: Mapping[str, Any], prefix: str = "") -> str:
    """Nested options other than those of printing as one text."""
    return ", ".join(
        _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else f"{prefix}{name}={value}"
        for name, value in options.items()
        if name not in ("display", "plotting", "styler", "io")
    )


@cache
def _openblas() -> Callable[[], int] | None:
    """The function of NumPy's BLAS library that returns how many threads it uses; None if it is another library."""
    for folder in Path(np.__file__).parents[1].glob("numpy.libs"):
        for file in folder.glob("*openblas*"):
            library = ctypes.CDLL(str(file))
            for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads64_"):
                if hasattr(library, name):
                    return getattr(library, name)
    return None


def _openblas_threads() -> int | None:
    read = _openblas()
    return None if read is None else read()


def _of_python() -> Iterator[tuple[str, Callable[[], object]]]:
    """Settings of the interpreter and the standard library."""
    yield "sys.path", lambda: sys.path
    yield "sys.meta_path", lambda: [getattr(each, "__name__", type(each).__name__) for each in sys.meta_path]
    yield "sys.path_hooks", lambda: [id(each) for each in sys.path_hooks]
    yield "sys.setrecursionlimit", sys.getrecursionlimit
    yield "sys.set_int_max_str_digits", sys.get_int_max_str_digits
    yield "sys.setswitchinterval", sys.getswitchinterval
    yield "sys.stdin", lambda: id(sys.stdin)
    yield "sys.stdout", lambda: id(sys.stdout)
    yield "sys.stderr", lambda: id(sys.stderr)
    yield "sys.settrace", lambda: _tracer(sys.gettrace())
    yield "sys.setprofile", lambda: _tracer(sys.getprofile())
    yield "gc", lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks))
    yield "random's generator", lambda: id(random._inst)  # noqa: SLF001
    yield "decimal's context", _decimal_context
    yield "locale", lambda: locale.setlocale(locale.LC_ALL)
    yield "time zone", lambda: (time.tzname, time.timezone)
    yield "socket.setdefaulttimeout", socket.getdefaulttimeout
    yield "multiprocessing's start method", _start_method
    yield (
        "logging",
        lambda: (logging.root.level, logging.root.disabled, logging.root.manager.disable, logging.raiseExceptions),
    )
    yield "handlers of logging", lambda: [id(each) for each in logging.root.handlers]
    yield "threads left running", _running_threads


def _decimal_context() -> str:
    """The context without its flags, which every calculation sets."""
    context = decimal.getcontext().copy()
    context.clear_flags()
    return repr(context)


def _start_method() -> str:
    """The start method; the default one, also before it is first used."""
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


def _tracer(function: object) -> str:
    """A trace function as text; empty if it is that of a debugger, which only looks."""
    module = str(getattr(function, "__module__", None) or type(function).__module__)
    return "" if function is None or module.partition(".")[0] in _DEBUGGERS else f"{module} {id(function)}"


def _running_threads() -> str:
    """The threads of Python that are neither Assay's, nor the main one, nor idle workers of a thread pool."""
    frames = sys._current_frames()  # noqa: SLF001  # the documented way to see what threads do
    names = []
    for each in threading.enumerate():
        frame = frames.get(each.ident or 0)
        is_idle = frame is not None and frame.f_code is _worker_code()
        if each not in (threading.main_thread(), threading.current_thread()) and not is_idle:
            names.append(each.name)
    return ", ".join(sorted(name for name in names if not name.startswith((*_OWN_THREADS, "asyncio", "tqdm"))))


def _worker_code() -> CodeType:
    return futures_thread._worker.__code__  # noqa: SLF001


def _of_warnings() -> Iterator[tuple[str, Callable[[], object]]]:
    """Filters of warnings, without those that only decide whether the warnings of one module are shown."""
    yield (
        "filters of warnings",
        lambda: [
            f"{action} {message.pattern if message else ''} {category.__name__}"
            for action, message, category, module, _ in warnings.filters
            if action == "error" or module is None
        ],
    )


def _of_process() -> Iterator[tuple[str, Callable[[], object]]]:
    """Settings of the operating system's process."""
    yield "working directory", os.getcwd
    yield "umask", _umask
    yield "niceness", lambda: os.getpriority(os.PRIO_PROCESS, 0)
    yield "users and groups", lambda: (os.getuid(), os.geteuid(), os.getgid(), os.getegid())
    yield "blocked signals", lambda: sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    yield "timers", lambda: [signal.getitimer(each)[1] for each in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]
    yield "pending alarm", lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0
    for number in signal.valid_signals():
        yield f"handler of signal {number}", lambda number=number: _handler(number)
    for name in (each for each in dir(resource) if each.startswith("RLIMIT_")):
        yield f"limit {name}", lambda name=name: resource.getrlimit(getattr(resource, name))
    if hasattr(os, "sched_getaffinity"):
        yield "CPU affinity", lambda: sorted(os.sched_getaffinity(0))
    yield "rounding of floating-point numbers", _rounding
    yield "denormal numbers", lambda: "kept" if _smallest() * 1.0 else "flushed to zero"
    for number in range(3):
        yield f"file descriptor {number}", lambda number=number: _descriptor(number)


def _handler(number: int) -> str:
    handler = signal.getsignal(number)
    module = str(getattr(handler, "__module__", ""))
    if module.partition(".")[0] in _DEBUGGERS:
        handler = signal.default_int_handler
    return f"{getattr(handler, '__qualname__', handler)} {id(handler) if callable(handler) else ''}"


def _umask() -> str:
    """The umask, which only Linux tells without setting it."""
    status = Path("/proc/self/status")
    return next((line for line in status.read_text().splitlines() if line.startswith("Umask")), "")


@cache
def _fegetround() -> Callable[[], int] | None:
    return getattr(ctypes.CDLL(ctypes.util.find_library("m")), "fegetround", None)


def _rounding() -> int | None:
    read = _fegetround()
    return None if read is None else read()


def _smallest() -> float:
    """The smallest denormal number, as a call, so that no compiler multiplies it in advance."""
    return float.fromhex("0x0.0000000000001p-1022")


def _descriptor(number: int) -> str:
    stat = os.fstat(number)
    return f"{stat.st_dev}:{stat.st_ino}"


def changes(before: Settings, after: Settings) -> Iterator[tuple[str, str, str]]:
    """Yields the settings that differ, each with both values. One that nobody had before, as of a library, is no change."""
    for name in {**before, **after}:
        is_variable = name.startswith(VARIABLE)
        if (is_variable or (name in before and name in after)) and before.get(name) != after.get(name):
            yield name, before.get(name, "nothing"), after.get(name, "nothing")
