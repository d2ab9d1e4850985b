"""A slot's hold on one worker: gives it tasks, and turns its end into failures that say what happened."""

import base64
import pickle
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published
from assay.cluster.drive.unit_work import UnitWork
from assay.cluster.errors import RunError
from assay.cluster.workers.messages import from_message
from assay.cluster.workers.worker_process import Ending, WorkerProcess, WorkerSource
from assay.evaluator.errors import StoreError
from assay.evaluator.storage.file_errors import file_errors
from assay.manifests import Variant
from assay.manifests.plain_text import error_text, text_of
from assay.manifests.read_only_inputs import hint_on_signal

_ENDS_WITHIN_S = 1.0
"""How long a worker may live after it has closed its channel."""
_PUBLISHES_WITHIN_S = 60.0
"""How long a worker may take to publish its last unit once it is asked to end."""
_CLOSES_WITHIN_S = 5.0
"""How long it may live after that."""
_SIGNALS: dict[int, str] = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGBUS: "a bus error",
    signal.SIGABRT: "abort",
    signal.SIGFPE: "an arithmetic error",
    signal.SIGILL: "an illegal instruction",
    signal.SIGKILL: "by another process, or by the kernel because memory was short",
}


@dataclass(frozen=True)
class WorkerSetup:
    """What every worker of a slot is given.

    Attributes:
        slot: The slot's name in the ledger.
        run_json: The opened run, as JSON.
        import_paths: Folders that entrypoints may be imported from.
        work: What it does with each unit.
        control: The run's control.
        variants: The variant of each arm.
        where: The slot and its host, for messages.
    """

    slot: str
    run_json: str
    import_paths: Sequence[str]
    work: UnitWork
    control: str
    variants: Mapping[str, Variant]
    where: str


@dataclass
class _Unfinished:
    """A task of a worker.

    Attributes:
        task: The task.
        end: How it ends.
        scored: Is set once its unit is scored, or the task has ended.
    """

    task: Task
    end: Future[Published | Failure] = field(default_factory=Future)
    scored: threading.Event = field(default_factory=threading.Event)


class WorkerHandle:
    """A worker for one arm, from its start to its end.

    Attributes:
        arm: The only arm that it works on.
        is_over: Whether it has ended, or is about to: it takes no more tasks.
    """

    def __init__(self, source: WorkerSource, setup: WorkerSetup, arm: str) -> None:
        """Has the worker forked."""
        self.arm, self.is_over = arm, False
        self._source, self._setup = source, setup
        self._process, self._folder = _started(source, setup)
        self._unfinished: deque[_Unfinished] = deque()
        self._lock = threading.Lock()
        self._timer: _Assistant | None = None
        self._is_ready = False
        self._since_s = time.monotonic()
        self._interrupted_for, self._unusable, self._strange = "", "", ""
        self._listener = threading.Thread(target=self._listen, name=f"worker of {arm}", daemon=True)
        self._listener.start()

    def perform(self, task: Task, upcoming: int | None) -> Future[Published | Failure]:
        """Has the worker score a unit of its arm, and waits for that; it is published later.

        Args:
            task: The task.
            upcoming: The index of the unit that the worker will probably get next.

        Returns:
            How the task ends.
        """
        unfinished = _Unfinished(task)
        with self._lock:
            if self.is_over:
                unfinished.end.set_result(self._failure("its process had ended before", counts=False))
                return unfinished.end
            if not self._unfinished:
                self._since_s = time.monotonic()
            self._unfinished.append(unfinished)
        with suppress(OSError):  # it has ended: the listener finds out how
            self._process.channel.send({"do": "score", "task": list(task), "upcoming": upcoming})
        unfinished.scored.wait()
        return unfinished.end

    def has_worked_s(self) -> float:
        """For how many seconds it has worked on the oldest of its tasks."""
        return time.monotonic() - self._since_s if self._unfinished else 0.0

    def interrupt(self, reason: str) -> None:
        """Kills the worker; its tasks fail for this reason."""
        self._interrupted_for = reason
        self._source.end(self._process, stack=True)
        timer = self._timer
        if timer is not None:
            timer.kill()

    def close(self) -> None:
        """Ends the worker once its last unit is published, and waits until it is gone."""
        with suppress(OSError):
            self._process.channel.send({"do": "close"})
        wait([each.end for each in list(self._unfinished)], _PUBLISHES_WITHIN_S)
        self._listener.join(_CLOSES_WITHIN_S)
        if self._listener.is_alive():
            self.interrupt(f"it did not end within {_CLOSES_WITHIN_S:g} s")
            self._listener.join()

    def _listen(self) -> None:
        """Takes the worker's messages until it ends."""
        while (message := self._process.channel.receive()) is not None:
            try:
                self._take(message)
            except (RunError, StoreError) as error:  # the control's process cannot be started
                self._unusable = text_of(error)
                break
            except Exception as error:  # noqa: BLE001  # its variant's code may send anything
                self._strange = f"its process has sent what is no message of a worker: {error_text(error)}"
                break
        self._finish()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message.get("is")
        if kind == "scored":
            next(each for each in self._unfinished if not each.scored.is_set()).scored.set()
        elif kind == "end":
            unfinished = self._unfinished[0]
            result = from_message({name: value for name, value in message.items() if name != "is"}, self._receipt_class)
            if isinstance(result, Failure):
                result = replace(
                    self._confirmed(result, unfinished.task), traceback=self._with_output(result.traceback)
                )
            elif (result.receipt.arm, result.receipt.unit) != (unfinished.task.arm, unfinished.task.unit):
                raise ValueError("a receipt of another unit")
            self._unfinished.popleft()
            self._since_s = time.monotonic()
            unfinished.scored.set()
            unfinished.end.set_result(result)
        elif kind == "control":
            with suppress(OSError):
                self._process.channel.send(self._answer_of_control(message))
        elif kind == "ready" and not self._is_ready:
            self._is_ready = True
        elif kind == "unusable" and not self._is_ready:  # no code of the variant has run yet
            self._unusable = str(message["reason"])
        else:
            raise ValueError(f"one of the kind {kind!r}")

    @property
    def _receipt_class(self) -> Any:
        return self._setup.work.receipt_class

    def _answer_of_control(self, message: dict[str, Any]) -> dict[str, Any]:
        """Relays a request to time the control to a worker of its own."""
        if message["do"] == "load" and self._timer is None:
            self._timer = _Assistant(self._source, self._setup)
        if self._timer is None:
            raise ValueError("the control is not loaded")
        if message["do"] == "close":
            self._timer.close()
            self._timer = None
            return {}
        return self._timer.answer(message)

    def _confirmed(self, failure: Failure, task: Task) -> Failure:
        """A failure that would end the run, if it does not only exist in the worker.

        A variant's code may have changed what its process can read. If a fresh process can, the failure is the arm's own.
        """
        if failure.scope != "run":
            return failure
        assistant = _Assistant(self._source, self._setup)
        try:
            is_confirmed = "problem" in assistant.answer({"do": "check", "unit": task.unit})
        finally:
            assistant.close()
        own = (
            f"{failure.reason}; a fresh process can read the dataset and the ledger, so the arm's own code is the cause"
        )
        return failure if is_confirmed else replace(failure, scope="unit", reason=own)

    def _finish(self) -> None:
        """Fails the tasks that are left once the process is gone, and removes what it leaves."""
        with self._lock:
            self.is_over = True
        if not wait([self._process.ended], _ENDS_WITHIN_S).done and not self._interrupted_for:
            self._strange = self._strange or "its process has closed, or written to, the connection to its slot"
        self._source.end(self._process)
        reason, cause = self._reason(self._process.ended.result())
        left = list(self._unfinished)
        at_work_on = next((each for each in left if not each.scored.is_set()), left[0] if left else None)
        for each in left:
            if self._unusable:
                result = Failure("run", self._unusable, self._setup.where)
            else:
                result = self._failure(reason, cause=cause, counts=each is at_work_on)
            each.end.set_result(result)
            each.scored.set()
        if self._timer is not None:
            self._timer.close()
        self._process.close()
        _remove(self._folder)

    def _reason(self, ending: Ending) -> tuple[str, Literal["worker_lost", "out_of_memory", "hung"]]:
        if ending.used_bytes is not None:
            return _words_of(ending), "out_of_memory"
        if self._interrupted_for:
            return self._interrupted_for, "hung"
        if self._strange:
            return self._strange, "worker_lost"
        hint = hint_on_signal(self._setup.variants[self.arm], ending.signal or 0)
        return "; ".join(filter(None, (_words_of(ending), hint))), "worker_lost"

    def _failure(
        self, reason: str, *, cause: Literal["worker_lost", "out_of_memory", "hung"] = "worker_lost", counts: bool
    ) -> Failure:
        return Failure("worker", reason, self._setup.where, self._with_output(""), cause=cause, counts=counts)

    def _with_output(self, trace: str) -> str:
        """A traceback, followed by the last lines that the worker has printed."""
        output = self._process.last_output()
        return "\n".join(each for each in (trace, f"the end of its output:\n{output}" if output else "") if each)


def _remove(folder: str) -> None:
    """Removes a worker's folder, however deep."""
    subprocess.run(["rm", "-rf", "--", folder], check=False, stderr=subprocess.DEVNULL)  # noqa: S603, S607


def _words_of(ending: Ending) -> str:
    """How a process ended, in words."""
    if ending.used_bytes is not None:
        used = f"{ending.used_bytes / 1e9:.2f} GB"
        return f"its processes used {used} of memory, more than they may (resources.memory_bytes)"
    number = ending.signal
    if number is not None:
        # Most real-time signals have no name.
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"its process was ended by {name} ({_SIGNALS.get(number, signal.strsignal(number) or '')})"
    return ending.problem or f"its process ended by itself, with exit code {ending.exit_code}"


class _Assistant:
    """A worker that does what the worker of an arm cannot do itself: see `worker.py`."""

    def __init__(self, source: WorkerSource, setup: WorkerSetup) -> None:
        self._source = source
        self._process, self._folder = _started(source, setup, assists=True)

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Its answer to a message."""
        with suppress(OSError):
            self._process.channel.send(message)
        answer = self._process.channel.receive()
        if answer is None:
            self.kill()
            how, output = _words_of(self._process.ended.result()), self._process.last_output()
            return {"problem": f"{how}\n{output}".strip()}
        return {"problem": str(answer["reason"])} if answer.get("is") == "unusable" else answer

    def kill(self) -> None:
        """Kills it."""
        self._source.end(self._process)

    def close(self) -> None:
        """Ends it, and waits until it is gone."""
        with suppress(OSError):
            self._process.channel.send({"do": "close"})
        wait([self._process.ended], _ENDS_WITHIN_S)
        self.kill()
        self._process.close()
        _remove(self._folder)


def _started(source: WorkerSource, setup: WorkerSetup, *, assists: bool = False) -> tuple[WorkerProcess, str]:
    """A new worker that knows its run, and its folder for temporary files.

    Args:
        source: Starts it.
        setup: What it is given.
        assists: Whether it assists another worker rather than works on units.
    """
    with file_errors("written", tempfile.gettempdir()):
        folder = tempfile.mkdtemp(prefix="assay-worker-")
    process = source.start()
    message = {
        "slot": setup.slot,
        "run": setup.run_json,
        "import_paths": list(setup.import_paths),
        "work": base64.b64encode(pickle.dumps(setup.work)).decode(),
        "folder": folder,
        "assists": assists,
    }
    with suppress(OSError):  # it has ended, which its user finds out
        process.channel.send(message)
    return process, folder
