"""Lanes: how batches travel to a device, through a module, and back."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import torch

from evaluator.predictors.base import Batch, PredictionError

_NUM_IN_FLIGHT = 3
"""Batches on a GPU at once: one arrives, one is computed, one leaves. More would only take memory."""

Forward = Callable[[list[torch.Tensor]], torch.Tensor]


class Passed(NamedTuple):
    """A batch that has been through.

    Attributes:
        batch: The batch.
        returned: What the module returned, in this process's memory; valid until the next batch is taken.
        time_s: Seconds since the batch before it was through.
    """

    batch: Batch
    returned: torch.Tensor
    time_s: float


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
            staged = _staged(batch, inputs, dtype, pinned=False)
            returned = forward([tensor.to(self._device) for tensor in staged]).cpu()
            began, ended = ended, time.perf_counter()
            yield Passed(batch, returned, ended - began)


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
        in_flight: deque[tuple[Batch, torch.Tensor, torch.cuda.Event]] = deque()
        computing = torch.cuda.current_stream(self._device)
        last = _mark(computing)
        for batch in batches:
            tensors = self._sent(_staged(batch, inputs, dtype, pinned=True), computing)
            # To the CPU without waiting: torch takes page-locked memory for it, which no one else gets meanwhile.
            returned = forward(tensors).to("cpu", non_blocking=True)
            in_flight.append((batch, returned, _mark(computing)))
            if len(in_flight) == _NUM_IN_FLIGHT:
                passed, last = _landed(*in_flight.popleft(), since=last)
                yield passed
        while in_flight:
            passed, last = _landed(*in_flight.popleft(), since=last)
            yield passed

    def _sent(self, staged: list[torch.Tensor], computing: torch.cuda.Stream) -> list[torch.Tensor]:
        with torch.cuda.stream(self._copying):
            tensors = [tensor.to(self._device, non_blocking=True) for tensor in staged]
        computing.wait_stream(self._copying)
        for tensor in tensors:
            tensor.record_stream(
                computing
            )  # made on one stream, used on another: not to be reused before both are done
        return tensors


def _landed(
    batch: Batch, returned: torch.Tensor, done: torch.cuda.Event, *, since: torch.cuda.Event
) -> tuple[Passed, torch.cuda.Event]:
    """Waits for one batch; those behind it go on."""
    done.synchronize()
    return Passed(batch, returned, since.elapsed_time(done) / 1000), done


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
        tensors.append(_copied(column, dtype, pinned=pinned))
    return tensors


def _copied(column: np.ndarray, dtype: torch.dtype | None, *, pinned: bool) -> torch.Tensor:
    if not pinned:
        # NumPy's memory: under deterministic algorithms torch writes NaN into all that it hands out, before we do.
        tensor = torch.from_numpy(column.copy())
        return tensor if dtype is None else tensor.to(dtype)
    tensor = torch.empty(column.shape, dtype=dtype or _torch_dtype(column.dtype), pin_memory=True)
    np.copyto(tensor.numpy(), column)
    return tensor


@cache
def _torch_dtype(dtype: np.dtype) -> torch.dtype:
    # torch.from_numpy is the table of which dtype is which; of rows themselves it would warn that they are read-only.
    return torch.from_numpy(np.empty(0, dtype)).dtype
