"""Monitors the worker processes of the Ray that a benchmark has started: their CPU seconds and their memory."""

import contextlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass
class WorkerMonitor:
    """Polls the worker processes of this process's Ray while its context lasts; processes that end early are kept.

    Attributes:
        cpu_s: CPU seconds of each process since the context was entered, by process ID, with those that it has started.
        anonymous_bytes: The peak memory of each worker process of Ray with all processes that it has started, without
            mapped files, by its process ID. Pages that processes share count once.
        every_s: Seconds between two polls.
    """

    cpu_s: dict[int, float] = field(default_factory=dict)
    anonymous_bytes: dict[int, int] = field(default_factory=dict)
    _before: dict[int, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    every_s: float = 0.25

    def __enter__(self) -> Self:
        self._before = {pid: cpu for pid, cpu, _ in _workers()}
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def total_cpu_s(self) -> float:
        """CPU seconds, summed over all processes."""
        return sum(self.cpu_s.values())

    def _poll(self) -> None:
        last = False
        while not last:
            last = self._stopping.wait(self.every_s)
            for pid, cpu, private in _workers():
                self.cpu_s[pid] = cpu - self._before.get(pid, 0.0)
                self.anonymous_bytes[pid] = max(private, self.anonymous_bytes.get(pid, 0))


def _workers() -> list[tuple[int, float, int]]:
    """Process ID, CPU seconds and memory of every worker of the Ray that this process has started, and its processes.

    The memory is that of a worker of Ray and all its processes; it is 0 for the latter.
    """
    tick, rows = os.sysconf("SC_CLK_TCK"), dict[int, tuple[str, int, float]]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                fields = rest.split()
                rows[int(folder.name)] = (name, int(fields[1]), (int(fields[11]) + int(fields[12])) / tick)
    raylets = {pid for pid, (name, parent, _) in rows.items() if name == "raylet" and parent == os.getpid()}
    memory = dict[int, int]()
    found = dict[int, float]()
    for pid, (_, parent, cpu) in rows.items():
        top, above = pid, parent
        while above in rows and above not in raylets:
            top, above = above, rows[above][1]
        if above in raylets:
            found[pid] = cpu
            memory[top] = memory.get(top, 0) + _anonymous_bytes(pid)
    return [(pid, cpu, memory.get(pid, 0)) for pid, cpu in found.items()]


def _anonymous_bytes(pid: int) -> int:
    """The anonymous memory of a process; a page that several processes share counts in proportion."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return 0


def resident_bytes(pid: int | str = "self") -> dict[str, int]:
    """A process's memory in bytes, by the names in /proc/PID/status: VmRSS, VmHWM, RssAnon and others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
