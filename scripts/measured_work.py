"""The unit work of the throughput benchmark. It has a module of its own because workers import it."""

import json
import os
import time
from pathlib import Path
from typing import Any

from process_watch import resident_bytes

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.unit_work import PublishUnit


class MeasuredWork(PublishUnit):
    """Publishes units, and keeps in a file when each was begun, and what its process had used by then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def perform(self, task: Task, *args: Any, scorer: Any, **kwargs: Any) -> Any:
        """Scores a unit, after reading the clocks."""
        file = self._folder / scorer.run.run_id / f"{task.arm}-{task.unit}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        began = {
            "bench_pid": os.getpid(),
            "bench_began_at": time.time(),
            "bench_clock_s": time.perf_counter(),
            "bench_clock_cpu_s": time.process_time(),
            "bench_bytes": resident_bytes()["VmRSS"],
        }
        file.write_text(json.dumps(began))
        return super().perform(task, *args, scorer=scorer, **kwargs)
