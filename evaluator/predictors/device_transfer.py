"""Device transfer: copies batches to a device, runs a module on them, and copies the outputs back."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from assay.evaluator.predictors.predictor import Batch, PredictionError

_NUM_IN_FLIGHT = 3
"""Batches on a GPU at the same time: one is copied in, one is computed, one is copied out. More would only use memory."""

_deterministic: Any = torch.utils.deterministic  # a module with a property that type checkers do not see

Forward = Callable[[list[torch.Tensor]], torch.Tensor]


class ForwardedBatch(NamedTuple):
    """A batch after the forward pass.

    Attributes:
        batch: The batch.
        returned: What the module returned, in host memory; valid until the next batch is requested.
        time_s: Seconds since the previous batch was finished.
        copy_s: Seconds of copying its inputs, first into host memory owned by this batch and then to the device.
        forward_s: Seconds of the module's own computation; except with CUDA it includes copying the output back.
    """

    batch: Batch
    returned: torch.Tensor
    time_s: float
    copy_s: float
    forward_s: float


class DeviceTransfer(Protocol):
    """Moves batches through one device."""

    def forwarded(
        self, batches: Iterable[Batch], *, inputs: tuple[str, ...], forward: Forward, dtype: torch.dtype | None = None
    ) -> Iterator[ForwardedBatch]:
        """Yields each batch with the module's output, in order.

        Args:
            batches: The batches; consumed one at a time.
            inputs: The features to pass on, in the order of the module's arguments.
            forward: Runs the module. It receives tensors that it may modify in place.
            dtype: The dtype of these tensors; None: that of each feature.

        Raises:
            PredictionError: A feature does not exist or is not numeric.
        """
        ...


class DirectTransfer:
    """Processes one batch after another: for the CPU, and for devices other than CUDA."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def forwarded(
        self, batches: Iterable[Batch], *, inputs: tuple[str, ...], forward: Forward, dtype: torch.dtype | None = None
    ) -> Iterator[ForwardedBatch]:
        """See `DeviceTransfer.forwarded`."""
        ended = time.perf_counter()
        for batch in batches:
            began = time.perf_counter()
            tensors = [tensor.to(self._device) for tensor in _staged(batch, inputs, dtype, pinned=False)]
            copied = time.perf_counter()
            returned = forward(tensors).cpu()
            before, ended = ended, time.perf_counter()
            del tensors  # lets the next batch use the same memory, which is in the CPU's cache
            yield ForwardedBatch(batch, returned, ended - before, copied - began, ended - copied)


class CudaTransfer:
    """Overlaps copying and computation, and sends batches to the GPU before earlier ones are finished.

    Batch i + 1 is copied from page-locked memory on a separate stream while batch i is computed. The output of batch i
    is copied back on the computing stream. At most `_NUM_IN_FLIGHT` batches are in flight: the process then waits for
    the oldest one, which bounds memory use on both host and device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copying = torch.cuda.Stream(device)

    def forwarded(
        self, batches: Iterable[Batch], *, inputs: tuple[str, ...], forward: Forward, dtype: torch.dtype | None = None
    ) -> Iterator[ForwardedBatch]:
        """See `DeviceTransfer.forwarded`."""
        in_flight: deque[_InFlight] = deque()
        computing = torch.cuda.current_stream(self._device)
        last = _recorded_event(computing)
        for batch in batches:
            in_flight.append(self._sent(batch, inputs, dtype, forward, computing))
            if len(in_flight) == _NUM_IN_FLIGHT:
                oldest = in_flight.popleft()
                yield oldest.finished(since=last)
                last = oldest.done
        for remaining in in_flight:
            yield remaining.finished(since=last)
            last = remaining.done

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
        copy_start = _recorded_event(self._copying)
        with torch.cuda.stream(self._copying):
            tensors = [tensor.to(self._device, non_blocking=True) for tensor in staged]
        copy_end = _recorded_event(self._copying)
        computing.wait_event(copy_end)
        for tensor in tensors:
            # Allocated on one stream and used on another: its memory must not be reused before both are done.
            tensor.record_stream(computing)
        forward_start = _recorded_event(computing)
        output = forward(tensors)
        forward_end = _recorded_event(computing)
        # Does not block: torch allocates page-locked memory for the copy and does not reuse it before the copy is done.
        returned = output.to("cpu", non_blocking=True)
        done = _recorded_event(computing)
        return _InFlight(batch, returned, staged_s, copy_start, copy_end, forward_start, forward_end, done)


class _InFlight(NamedTuple):
    """A batch that was sent to the GPU, and the events that the GPU reaches one after another."""

    batch: Batch
    returned: torch.Tensor
    staged_s: float
    copy_start: torch.cuda.Event
    copy_end: torch.cuda.Event
    forward_start: torch.cuda.Event
    forward_end: torch.cuda.Event
    done: torch.cuda.Event

    def finished(self, *, since: torch.cuda.Event) -> ForwardedBatch:
        """Waits for this batch. Later batches continue in the meantime."""
        self.done.synchronize()
        copy_s = self.staged_s + _seconds(self.copy_start, self.copy_end)
        forward_s = _seconds(self.forward_start, self.forward_end)
        return ForwardedBatch(self.batch, self.returned, _seconds(since, self.done), copy_s, forward_s)


def _seconds(start: torch.cuda.Event, end: torch.cuda.Event) -> float:
    return start.elapsed_time(end) / 1000


def _recorded_event(stream: torch.cuda.Stream) -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True, blocking=True)  # waiting for it sleeps instead of spinning
    event.record(stream)
    return event


def _staged(batch: Batch, inputs: tuple[str, ...], dtype: torch.dtype | None, *, pinned: bool) -> list[torch.Tensor]:
    """Copies each feature into a new tensor in host memory.

    It is a copy even on the CPU, because the arrays are views of a shard that other arms read (often mapped
    read-only) and a module may work in place. It is a new tensor for each batch, because a module may keep its inputs;
    if it does not, the allocator reuses the memory of the previous batch.
    """
    tensors = []
    for name, column in zip(inputs, batch.columns(inputs), strict=True):
        if column.dtype.kind not in "biuf":
            raise PredictionError(
                f"feature '{name}' holds {'strings' if column.dtype == object else column.dtype}, which cannot be put "
                "into a tensor; list only numeric features in the variant's inputs, or use 'predictor: callable'"
            )
        tensor = _uninitialised(column.shape, dtype or _torch_dtype(column.dtype), pinned=pinned)
        np.copyto(tensor.numpy(), column)
        tensors.append(tensor)
    return tensors


def _uninitialised(shape: tuple[int, ...], dtype: torch.dtype, *, pinned: bool) -> torch.Tensor:
    """A tensor that the caller overwrites. Under deterministic algorithms torch would fill it with NaN first."""
    fills = _deterministic.fill_uninitialized_memory
    _deterministic.fill_uninitialized_memory = False
    try:
        return torch.empty(shape, dtype=dtype, pin_memory=pinned)
    finally:
        _deterministic.fill_uninitialized_memory = fills


@cache
def _torch_dtype(dtype: np.dtype) -> torch.dtype:
    # torch.from_numpy knows the mapping of dtypes. Called with the rows themselves it would warn that they are read-only.
    return torch.from_numpy(np.empty(0, dtype)).dtype
