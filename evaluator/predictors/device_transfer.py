"""Device transfer: how batches travel to a device, through a module, and back."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from assay.evaluator.predictors.predictor import Batch, PredictionError

_NUM_IN_FLIGHT = 3
"""Batches on a GPU at once: one arrives, one is computed, one leaves. More would only take memory."""

_deterministic: Any = torch.utils.deterministic  # a module with a property that type checkers do not see

Forward = Callable[[list[torch.Tensor]], torch.Tensor]


class Passed(NamedTuple):
    """A batch that has been through.

    Attributes:
        batch: The batch.
        returned: What the module returned, in this process's memory; valid until the next batch is taken.
        time_s: Seconds since the batch before it was through.
        copy_s: Seconds of copying its inputs: into this process's memory, and to the device.
        forward_s: Seconds of the module's own work; on a CPU and on devices without streams with the copy back.
    """

    batch: Batch
    returned: torch.Tensor
    time_s: float
    copy_s: float
    forward_s: float


class Lane(Protocol):
    """The way of batches through one device."""

    def passed(
        self, batches: Iterable[Batch], *, inputs: tuple[str, ...], forward: Forward, dtype: torch.dtype | None = None
    ) -> Iterator[Passed]:
        """Sends batches through, in their order.

        Args:
            batches: Taken one by one.
            inputs: The features that are sent, in the order of the module's arguments.
            forward: The module; given tensors that are its own to write to.
            dtype: What they are of; None: what the features are of.

        Raises:
            PredictionError: A feature is unknown, or is no number.
        """
        ...


class DirectLane:
    """One batch after the other: for the CPU, and for devices without streams of their own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def passed(
        self, batches: Iterable[Batch], *, inputs: tuple[str, ...], forward: Forward, dtype: torch.dtype | None = None
    ) -> Iterator[Passed]:
        """See `Lane.passed`."""
        ended = time.perf_counter()
        for batch in batches:
            began = time.perf_counter()
            tensors = [tensor.to(self._device) for tensor in _staged(batch, inputs, dtype, pinned=False)]
            copied = time.perf_counter()
            returned = forward(tensors).cpu()
            before, ended = ended, time.perf_counter()
            del tensors  # their memory is warm for the next batch
            yield Passed(batch, returned, ended - before, copied - began, ended - copied)


class CudaLane:
    """Copying in beside computing, and nobody waits for a batch before the next ones are on their way.

    Batch i + 1 is copied from page-locked memory on a stream of its own while batch i is computed; the answers of
    batch i are copied back behind it. This process waits only for the batch that is `_NUM_IN_FLIGHT` behind the one
    it sent last, which bounds the memory on both sides.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copying = torch.cuda.Stream(device)

    def passed(
        self, batches: Iterable[Batch], *, inputs: tuple[str, ...], forward: Forward, dtype: torch.dtype | None = None
    ) -> Iterator[Passed]:
        """See `Lane.passed`."""
        in_flight: deque[_InFlight] = deque()
        computing = torch.cuda.current_stream(self._device)
        last = _mark(computing)
        for batch in batches:
            in_flight.append(self._sent(batch, inputs, dtype, forward, computing))
            if len(in_flight) == _NUM_IN_FLIGHT:
                oldest = in_flight.popleft()
                yield oldest.landed(since=last)
                last = oldest.done
        for left in in_flight:
            yield left.landed(since=last)
            last = left.done

    def _sent(
        self,
        batch: Batch,
        inputs: tuple[str, ...],
        dtype: torch.dtype | None,
        forward: Forward,
        computing: torch.cuda.Stream,
    ) -> "_InFlight":
        began = time.perf_counter()
        staged = _staged(batch, inputs, dtype, pinned=True)
        staged_s = time.perf_counter() - began
        sending = _mark(self._copying)
        with torch.cuda.stream(self._copying):
            tensors = [tensor.to(self._device, non_blocking=True) for tensor in staged]
        sent = _mark(self._copying)
        computing.wait_event(sent)
        for tensor in tensors:
            # Made on one stream, used on another: not to be reused before both are done.
            tensor.record_stream(computing)
        begun = _mark(computing)
        answered = forward(tensors)
        computed = _mark(computing)
        # To the CPU without waiting: torch takes page-locked memory for it, which no one else gets meanwhile.
        returned = answered.to("cpu", non_blocking=True)
        return _InFlight(batch, returned, staged_s, sending, sent, begun, computed, _mark(computing))


class _InFlight(NamedTuple):
    """A batch on its way, and the marks that its device reaches one after the other."""

    batch: Batch
    returned: torch.Tensor
    staged_s: float
    sending: torch.cuda.Event
    sent: torch.cuda.Event
    begun: torch.cuda.Event
    computed: torch.cuda.Event
    done: torch.cuda.Event

    def landed(self, *, since: torch.cuda.Event) -> Passed:
        """Waits for this batch; those behind it go on."""
        self.done.synchronize()
        copy_s = self.staged_s + _seconds(self.sending, self.sent)
        return Passed(
            self.batch, self.returned, _seconds(since, self.done), copy_s, _seconds(self.begun, self.computed)
        )


def _seconds(start: torch.cuda.Event, end: torch.cuda.Event) -> float:
    return start.elapsed_time(end) / 1000


def _mark(stream: torch.cuda.Stream) -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True, blocking=True)  # waiting sleeps, and leaves the core to others
    event.record(stream)
    return event


def _staged(batch: Batch, inputs: tuple[str, ...], dtype: torch.dtype | None, *, pinned: bool) -> list[torch.Tensor]:
    """One copy of each feature as a tensor in this process's memory.

    A copy even on the CPU: the arrays are views of a shard that other arms read, often mapped read-only, and a module
    may work in place. A new one for each batch: a module may keep what it was given, and the allocator hands the
    memory of the batch before out again if it did not.
    """
    tensors = []
    for name, column in zip(inputs, batch.columns(inputs), strict=True):
        if column.dtype.kind not in "biuf":
            raise PredictionError(
                f"feature '{name}' holds {'strings' if column.dtype == object else column.dtype}, which no tensor can; "
                "name the numeric features in the variant's inputs, or write 'predictor: callable'"
            )
        tensor = _unfilled(column.shape, dtype or _torch_dtype(column.dtype), pinned=pinned)
        np.copyto(tensor.numpy(), column)
        tensors.append(tensor)
    return tensors


def _unfilled(shape: tuple[int, ...], dtype: torch.dtype, *, pinned: bool) -> torch.Tensor:
    """Memory that is written to next. Under deterministic algorithms torch would write NaN into it before."""
    fills = _deterministic.fill_uninitialized_memory
    _deterministic.fill_uninitialized_memory = False
    try:
        return torch.empty(shape, dtype=dtype, pin_memory=pinned)
    finally:
        _deterministic.fill_uninitialized_memory = fills


@cache
def _torch_dtype(dtype: np.dtype) -> torch.dtype:
    # torch.from_numpy is the table of which dtype is which; of rows themselves it would warn that they are read-only.
    return torch.from_numpy(np.empty(0, dtype)).dtype
