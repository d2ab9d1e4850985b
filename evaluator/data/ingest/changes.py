"""Changes: what is done to rows on the way in, counted, so that it can be said aloud."""

from collections import Counter

CRLF_READ = "line ends \\r\\n read as \\n"
"""What is said of them, whatever the format."""


class Changes:
    """Counts what was changed, by its description."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, change: str, *, count: int = 1) -> None:
        """Counts a change; of none of its kind nothing is said."""
        if count:
            self._counts[change] += count

    def descriptions(self) -> tuple[str, ...]:
        """Each kind of change with its count, in the order in which they were met first."""
        return tuple(f"{change}: {count:,}" for change, count in self._counts.items())
