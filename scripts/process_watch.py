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
        cpu_s: CPU seconds of each process since the context was entered, by process ID.
        private_bytes: The peak private memory of each process, by process ID.
        every_s: Seconds between two polls.
    """

    cpu_s: dict[int, float] = field(default_factory=dict)
    private_bytes: dict[int, int] = field(default_factory=dict)
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
                self.private_bytes[pid] = max(private, self.private_bytes.get(pid, 0))


def _workers() -> list[tuple[int, float, int]]:
    """Process ID, CPU seconds and private bytes of every worker of the Ray that this process has started."""
    tick, rows = os.sysconf("SC_CLK_TCK"), {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
                fields = rest.split()
                rows[int(folder.name)] = (name, int(fields[1]), (int(fields[11]) + int(fields[12])) / tick)
    raylets = {pid for pid, (name, parent, _) in rows.items() if name == "raylet" and parent == os.getpid()}
    workers = []
    for pid, (_, parent, cpu) in rows.items():
        if parent in raylets:
            with contextlib.suppress(OSError):
                workers.append((pid, cpu, resident_bytes(pid).get("RssAnon", 0)))
    return workers


def resident_bytes(pid: int | str = "self") -> dict[str, int]:
    """A process's memory in bytes, by the names in /proc/PID/status: VmRSS, VmHWM, RssAnon and others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
