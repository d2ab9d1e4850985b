"""The memory of processes, and when it is too much. Linux only: everything is read from `/proc`."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LEFT_FREE = 0.1
"""The share of the machine's memory below which a worker that uses more than its share is killed. Ray kills whole slots,
innocent ones too, when 5 % are left."""


@dataclass(frozen=True)
class Limit:
    """How much memory the workers of a slot may use, with all processes that they start.

    Attributes:
        memory_bytes: The limit in bytes; None: they may exceed their share while the machine has memory left.
        share: The slot's share of the machine, between 0 and 1.
    """

    memory_bytes: int | None = None
    share: float = 1.0

    def is_exceeded(self, used: int) -> bool:
        """Whether so many bytes are too many."""
        if self.memory_bytes is not None:
            return used > self.memory_bytes
        total, available = _of_machine()
        return used > self.share * (1 - _LEFT_FREE) * total and available < _LEFT_FREE * total


def most_bytes(pids: Iterable[int]) -> int:
    """At most so much memory do processes use: what a process shares with those that it has forked counts for each."""
    return sum(_read(f"/proc/{pid}/status", "RssAnon:", "RssShmem:") for pid in pids)


def used_bytes(pids: Iterable[int]) -> int:
    """The memory of processes, without pages of mapped files: these are shared, and can be dropped at any time.

    What several processes share counts once. It is read in milliseconds, rather than in microseconds as `most_bytes`.
    """
    return sum(_read(f"/proc/{pid}/smaps_rollup", "Pss_Anon:", "Pss_Shmem:") for pid in pids)


def _read(file: str, *names: str) -> int:
    """The sum of some lines of a file, in bytes; 0 if the process has ended."""
    with contextlib.suppress(OSError):
        return sum(int(line.split()[1]) << 10 for line in Path(file).read_text().splitlines() if line.startswith(names))
    return 0


def _of_machine() -> tuple[int, int]:
    """The total and the available memory in bytes: of the container, if it has a limit, otherwise of the machine."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    of_machine = {line[0]: int(line[1]) << 10 for line in lines}
    total, available = of_machine["MemTotal:"], of_machine["MemAvailable:"]
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # no limit, or control groups of version 1
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        if limit < total:
            return limit, min(available, limit - used + int(stat["inactive_file"]))
    return total, available
