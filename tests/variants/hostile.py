"""Variants that harm their process, or try to harm others. Each kind is a function of `KINDS`."""

import atexit
import builtins
import collections
import ctypes
import faulthandler
import gc
import itertools
import json
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))
"""Is in the command line of what the variants start, so that the tests find it."""
_CONNECTION = 3
_LEN = len


def _answer(features):
    return np.where(np.asarray(features["x"]) > 0.5, 0.9, 0.1)


def _kill_self(number):
    os.kill(os.getpid(), number)
    time.sleep(1000)


def _guard():
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _sleeper(seconds=1000):
    return subprocess.Popen(["/bin/sh", "-c", f"sleep {seconds}; : {FOLDER}"])


def _ignoring():
    for number in range(1, 65):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_IGN)


# Ends


def _raises(error):
    raise error


class _Odd(Exception):
    def __str__(self):
        raise ValueError("no text")


def _segfault():
    print("before the fault")
    ctypes.string_at(0)


def _stack_overflow():
    sys.setrecursionlimit(10**9)
    deep = []
    for _ in range(10**6):
        deep = [deep]
    repr(deep)


def _cpu_limit():
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1, int(time.process_time()) + 3))
    while True:
        pass


def _alarm():
    signal.alarm(1)
    time.sleep(1000)


def _closes_and_sleeps():
    os.closerange(3, 1 << 16)
    time.sleep(1000)


def _dies_later():
    threading.Thread(target=lambda: (time.sleep(0.02), os._exit(5)), daemon=True).start()
    time.sleep(1000)


def _exec(*command):
    os.execv(command[0], command)


# Hangs


def _python_loop():
    print("about to loop")
    while True:
        pass


def _c_loop():
    collections.deque(itertools.repeat(None), maxlen=0)


def _ignoring_loop():
    _ignoring()
    while True:
        time.sleep(0.01)


def _deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _blind_loop():
    faulthandler.disable()
    faulthandler.unregister(signal.SIGUSR2)
    _python_loop()


# Memory


def _memory(num_bytes=4 << 30):
    kept = []
    for _ in range(num_bytes >> 26):
        kept.append(np.ones(1 << 26, dtype=np.uint8))
    time.sleep(1000)


def _memory_in_child():
    child = multiprocessing.get_context("fork").Process(target=_memory)
    child.start()
    child.join()
    time.sleep(1000)


def _memory_in_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _memory()
        os._exit(0)
    time.sleep(1000)


# Processes


def _pool(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


def _left_pool():
    context = multiprocessing.get_context("fork")
    builtins.kept = [context.Process(target=time.sleep, args=(1000,)) for _ in range(3)]
    for each in builtins.kept:
        each.start()


def _daemon(*, ends_with=None, ignores=True):
    if os.fork() == 0:
        os.setsid()
        if ignores:
            _ignoring()
        if os.fork() == 0:
            time.sleep(1000)
        time.sleep(1000)
    if ends_with is not None:
        os._exit(ends_with)


def _double_fork():
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        os._exit(0)


def _fifty():
    for _ in range(50):
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)


def _comet():
    """A process that lives on in its children."""
    if os.fork() == 0:
        os.setsid()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if os.fork():
                os._exit(0)
            time.sleep(0.003)


def _killer(*targets):
    """Kills its zygote or guard, and goes on."""
    for pid, number in targets:
        os.kill(pid, number)
    time.sleep(0.3)


# Output


def _output(write):
    for number in range(50):
        write(("%06d " % number) * 150_000)  # a megabyte


def _raises_after(text):
    os.write(1, text)
    raise RuntimeError("after its output")


# The connection


def _sends(content):
    os.write(_CONNECTION, content)
    time.sleep(1)


def _message(message):
    content = json.dumps(message).encode()
    return struct.pack("<I", len(content)) + content


def _half():
    os.write(_CONNECTION, struct.pack("<I", 1000) + b"{")
    time.sleep(1000)


# Replaced parts


def _no_exit():
    os._exit = lambda *_: None
    os.kill = os.killpg = lambda *_: None
    raise KeyboardInterrupt


def _replaces(module, name, value):
    setattr(module, name, value)


def _raiser(*_args, **_options):
    raise OSError("replaced")


def _scorer():
    scorer = sys.modules["assay.evaluator.metrics.row"]
    scorer.score = lambda *_args, _was=scorer.score, **_options: np.ones_like(_was(*_args, **_options))


def _audit(refused):
    def hook(event, _arguments):
        if event == refused:
            raise PermissionError("an audit hook refuses")

    sys.addaudithook(hook)


def _fills_folder():
    with open(os.path.join(tempfile.gettempdir(), "filled"), "wb") as file:
        file.write(bytes(100 << 20))


def _deep_folder():
    place = os.getcwd()
    os.chdir(tempfile.gettempdir())
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(place)


KINDS = {
    "exit_0": lambda: sys.exit(0),
    "exit_1": lambda: sys.exit(1),
    "exit_text": lambda: sys.exit("no more"),
    "os_exit_0": lambda: os._exit(0),
    "os_exit_3": lambda: os._exit(3),
    "abort": os.abort,
    "keyboard_interrupt": lambda: _raises(KeyboardInterrupt()),
    "generator_exit": lambda: _raises(GeneratorExit()),
    "odd_exception": lambda: _raises(_Odd()),
    "huge_message": lambda: _raises(RuntimeError("x" * (20 << 20))),
    "lone_surrogates": lambda: _raises(RuntimeError("half \ud800 of a pair")),
    "recursion": lambda: (lambda again: again(again))(lambda again: again(again)),
    "sigsegv": lambda: _kill_self(signal.SIGSEGV),
    "sigkill": lambda: _kill_self(signal.SIGKILL),
    "sigterm": lambda: _kill_self(signal.SIGTERM),
    "sigbus": lambda: _kill_self(signal.SIGBUS),
    "sigfpe": lambda: _kill_self(signal.SIGFPE),
    "sigusr1": lambda: _kill_self(signal.SIGUSR1),
    "real_time_signal": lambda: _kill_self(40),
    "alarm": _alarm,
    "segfault": _segfault,
    "stack_overflow": _stack_overflow,
    "cpu_limit": _cpu_limit,
    "own_group": lambda: os.killpg(0, signal.SIGKILL),
    "dies_later": _dies_later,
    "exec_true": lambda: _exec("/bin/true"),
    "exec_sleep": lambda: _exec("/bin/sleep", "1000"),
    # hangs
    "sigstop": lambda: _kill_self(signal.SIGSTOP),
    "python_loop": _python_loop,
    "c_loop": _c_loop,
    "sleep": lambda: time.sleep(1000),
    "lock_of_python": lambda: ctypes.PyDLL(None).sleep(1000),
    "signals_ignored": _ignoring_loop,
    "deadlock": _deadlock,
    "blind_loop": _blind_loop,
    "half_a_message": _half,
    # memory
    "memory": _memory,
    "memory_in_child": _memory_in_child,
    "memory_in_daemon": _memory_in_daemon,
    # processes
    "pool_fork": lambda: _pool("fork"),
    "pool_spawn": lambda: _pool("spawn"),
    "pool_forkserver": lambda: _pool("forkserver"),
    "left_pool": _left_pool,
    "left_shell": _sleeper,
    "daemon": _daemon,
    "daemon_of_the_dead": lambda: _daemon(ends_with=7),
    "double_fork": _double_fork,
    "fifty_processes": _fifty,
    "comet": _comet,
    "kills_zygote": lambda: _killer((os.getppid(), signal.SIGKILL)),
    "terminates_zygote": lambda: _killer((os.getppid(), signal.SIGTERM)),
    "stops_zygote": lambda: _killer((os.getppid(), signal.SIGSTOP)),
    "stops_zygote_and_dies": lambda: (_sleeper(), _killer((os.getppid(), signal.SIGSTOP)), os._exit(9)),
    "kills_guard": lambda: _killer((_guard(), signal.SIGKILL)),
    # descriptors and output
    "closes_all_and_sleeps": _closes_and_sleeps,
    "closes_all": lambda: os.closerange(3, 1 << 16),
    "closes_output": lambda: (os.close(1), os.close(2)),
    "prints_much": lambda: _output(print),
    "prints_much_to_errors": lambda: _output(sys.stderr.write),
    "prints_much_in_c": lambda: _output(lambda text: os.write(1, text.encode())),
    "prints_junk": lambda: _raises_after(bytes(range(256)) * 40),
    "stretches_output": lambda: os.ftruncate(1, 1 << 40),
    # the connection
    "sends_junk": lambda: _sends(b"junk" * 1000),
    "sends_huge_length": lambda: _sends(b"\xff\xff\xff\xff"),
    "sends_nothing_known": lambda: _sends(_message({"is": "hello"})),
    "sends_a_list": lambda: _sends(_message([1])),
    "sends_deep": lambda: _sends(struct.pack("<I", 200_000) + b"[" * 200_000),
    "sends_receipt": lambda: _sends(_message({"is": "end", "receipt": {}, "is_ours": True, "digest": ""})),
    "sends_loss_of_slot": lambda: _sends(
        _message({"is": "end", "failure": {"scope": "slot", "reason": "forged", "where": "here"}})
    ),
    "forges_loss_of_run": lambda: _sends(
        _message({"is": "end", "failure": {"scope": "run", "reason": "forged", "where": "here"}})
    ),
    "asks_for_unknown": lambda: _sends(_message({"is": "control", "do": "time", "number": 0})),
    "asks_for_control": lambda: [_sends(_message({"is": "control", "do": "load"})) for _ in range(3)],
    # replaced parts
    "no_exit": _no_exit,
    "no_scorer": _scorer,
    "no_json": lambda: _replaces(json, "dumps", lambda *_args, **_options: "{}"),
    "no_socket": lambda: _replaces(socket, "socket", None),
    "no_pickle": lambda: _replaces(pickle, "loads", _raiser),
    "no_struct": lambda: _replaces(struct, "pack", _raiser),
    "no_write": lambda: _replaces(os, "write", _raiser),
    "no_open": lambda: _replaces(builtins, "open", _raiser),
    "no_print": lambda: _replaces(builtins, "print", _raiser),
    "no_len": lambda: _replaces(builtins, "len", lambda each: _LEN(each) + 1),
    "audit_hook": lambda: _audit("subprocess.Popen"),
    "refuses_open": lambda: _audit("open"),
    "gc_off": gc.disable,
    "few_files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)),
    "little_address_space": lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20)),
    # its end and its folder
    "thread_left": lambda: threading.Thread(target=_python_loop).start(),
    "exit_handler": lambda: atexit.register(time.sleep, 1000),
    "hanging_flush": lambda: setattr(
        sys, "stdout", type("Hangs", (), {"flush": lambda _: time.sleep(1000), "write": len})()
    ),
    "no_folder": lambda: shutil.rmtree(tempfile.gettempdir()),
    "fills_folder": _fills_folder,
    "deep_folder": _deep_folder,
    "changes_directory": lambda: os.chdir("/"),
    "changes_user": lambda: os.setuid(65534),
}

_done = set()


def acts(features, *, kind):
    """Harms when it is called for the first time, and answers if it still can."""
    if kind not in _done:
        _done.add(kind)
        KINDS[kind]()
    return _answer(features)


def slowly(features, *, delay_s, flip_every=0):
    """Answers late, if it is asked about several rows: not in the probe of single rows."""
    x = np.asarray(features["x"])
    time.sleep(delay_s * (len(x) > 1))
    flips = (np.round(x * 1e6).astype(np.int64) % flip_every == 0) if flip_every else False
    return np.where((x > 0.5) != flips, 0.9, 0.1)


def waits(features, *, file):
    """Answers once a file is gone."""
    while os.path.exists(file):
        time.sleep(0.02)
    return _answer(features)


class ActsAtLoad:
    """Harms when it is loaded."""

    def __init__(self, kind):
        KINDS[kind]()

    def __call__(self, features):
        return _answer(features)
