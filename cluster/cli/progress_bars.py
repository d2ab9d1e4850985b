"""Progress bars on standard error, as context managers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def of_units(num_units: Mapping[str, int]) -> Iterator[Callable[[str, int], None]]:
    """One bar per arm. Yields a callback that takes an arm and its number of newly published units.

    Without a terminal, only the final state is printed.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("units"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        tasks = {arm: bars.add_task(arm, total=total) for arm, total in num_units.items()}
        yield lambda arm, more: bars.advance(tasks[arm], more)


@contextmanager
def of_bytes(sources: Sequence[Path]) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of some files. Yields a callback that takes the bytes read so far.

    Hidden without a terminal.
    """
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        total = 0
        with suppress(OSError):  # whoever reads the files says so
            total = sum(source.stat().st_size for source in sources if source.is_file())
        task = bars.add_task("", total=total)
        yield lambda num_bytes: bars.update(task, completed=num_bytes)


@contextmanager
def of_shards(num_shards: int) -> Iterator[Callable[[], None]]:
    """A bar over shards. Yields a callback to call after every verified shard.

    Hidden without a terminal.
    """
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TextColumn("shards"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=num_shards)
        yield lambda: bars.advance(task)
