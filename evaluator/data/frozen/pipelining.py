"""Pipelining: stages of a stream that run concurrently, one thread each, and keep the order of items and errors.

Arrow, NumPy and the hashes release the GIL, so that reading, checking and writing use several cores. At most one item
waits between two stages: memory does not grow with the stream.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yields the items, each produced in a background thread while the one before it is used.

    An error while producing an item is raised in its place. If closed early, waits for the item in production and
    produces no more.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        upcoming = pool.submit(next, items, end)
        while (item := upcoming.result()) is not end:
            upcoming = pool.submit(next, items, end)
            yield item


@contextmanager
def behind(work: Callable[[Item], None]) -> Iterator[Callable[[Item], None]]:
    """Provides a function that passes an item to a background thread, once the previous item is done.

    An error in the work is raised by the next call or at the end; after an error no more items are processed. When the
    context is left, for whatever reason, no work is running.
    """
    pending: Future[None] | None = None

    def hand_over(item: Item) -> None:
        nonlocal pending
        if pending is not None:
            pending.result()
        pending = pool.submit(work, item)

    with ThreadPoolExecutor(1, thread_name_prefix="behind") as pool:
        yield hand_over
        if pending is not None:
            pending.result()
