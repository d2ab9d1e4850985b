"""Pipelining: stages of a stream that run at once, one thread each, keeping the order of the items and of errors.

Arrow, NumPy and the hashes let other Python threads run while they work, so that reading, checking and writing share
the processor's cores. Never more than one item waits between two stages: memory does not grow with the stream.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items, each made in a side thread while the one before it is used.

    What making an item raises is raised where that item would have come. Closed early, it waits for the item that is
    being made, and makes no more.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item


@contextmanager
def behind(work: Callable[[Item], None]) -> Iterator[Callable[[Item], None]]:
    """Gives a call that hands an item over to be worked on in a side thread, once the item before it is done.

    What the work raises is raised by the next call, or at the end; after an error nothing more is worked on. When the
    context is left, in whatever way, nothing is under way any more.
    """
    under_way: Future[None] | None = None

    def hand_over(item: Item) -> None:
        nonlocal under_way
        if under_way is not None:
            under_way.result()
        under_way = pool.submit(work, item)

    with ThreadPoolExecutor(1, thread_name_prefix="behind") as pool:
        yield hand_over
        if under_way is not None:
            under_way.result()
