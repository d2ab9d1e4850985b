"""How long a unit may take: when it hangs, and when it lags so far behind that another slot should try it, too."""

import statistics
from collections import deque
from dataclasses import dataclass, field

_HANGS_AT_TIMES = 10.0
_HANGS_AT_LEAST_S = 60.0
_FIRST_UNIT_S = 3600.0  # it loads the variant, perhaps many gigabytes from far away
_LAGS_AT_TIMES = 3.0
_LAGS_AT_LEAST_S = 5.0
_LAGS_AFTER_UNITS = 3
_REMEMBERED = 64


@dataclass
class Deadlines:
    """What an arm's units have taken, and what follows for its next ones.

    Attributes:
        unit_timeout_s: When a unit hangs, in seconds; None: from the arm's own history.
    """

    unit_timeout_s: float | None
    _seconds: dict[str, deque[float]] = field(default_factory=dict)
    _longest_s: dict[str, float] = field(default_factory=dict)

    def record(self, arm: str, seconds: float) -> None:
        """A unit of the arm was published after so long."""
        self._seconds.setdefault(arm, deque(maxlen=_REMEMBERED)).append(seconds)
        self._longest_s[arm] = max(self._longest_s.get(arm, 0.0), seconds)

    def hangs_after_s(self, arm: str) -> float:
        """Seconds after which the arm's next unit hangs."""
        if self.unit_timeout_s is not None:
            return self.unit_timeout_s
        if arm not in self._longest_s:
            return _FIRST_UNIT_S
        return max(_HANGS_AT_TIMES * self._longest_s[arm], _HANGS_AT_LEAST_S)

    def lags_after_s(self, arm: str) -> float:
        """Seconds after which the arm's next unit lags; never, before a few units have shown what is usual."""
        seen = self._seconds.get(arm, ())
        if len(seen) < _LAGS_AFTER_UNITS:
            return float("inf")
        return max(_LAGS_AT_TIMES * statistics.median(seen), _LAGS_AT_LEAST_S)
