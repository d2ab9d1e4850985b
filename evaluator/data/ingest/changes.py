"""Changes: what was changed in rows while they were read, counted, so that reports can show it."""

from collections import Counter

CRLF_READ = "line ends \\r\\n read as \\n"
"""The description of this change, whatever the format."""


class Changes:
    """Counts what was changed, by its description."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, change: str, *, count: int = 1) -> None:
        """Counts a change; a kind with a count of zero is not reported."""
        if count:
            self._counts[change] += count

    def descriptions(self) -> tuple[str, ...]:
        """Each kind of change with its count, in the order of first occurrence."""
        return tuple(f"{change}: {count:,}" for change, count in self._counts.items())
