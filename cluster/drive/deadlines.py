"""How long a unit may take before it counts as hung, and before it counts as a straggler that another slot may copy."""

import statistics
from collections import deque
from dataclasses import dataclass, field

_HANGS_AT_TIMES = 10.0
_HANGS_AT_LEAST_S = 60.0
_FIRST_UNIT_S = 3600.0  # includes loading the variant, which may be many gigabytes over the network
_LAGS_AT_TIMES = 3.0
_LAGS_AT_LEAST_S = 5.0
_LAGS_AFTER_UNITS = 3
_REMEMBERED = 64


@dataclass
class Deadlines:
    """Durations of each arm's units so far, and the deadlines for its next ones that follow from them.

    Attributes:
        unit_timeout_s: Seconds after which a unit counts as hung; None: ten times the arm's longest unit and at
            least a minute, or an hour for the arm's first unit.
    """

    unit_timeout_s: float | None
    _seconds: dict[str, deque[float]] = field(default_factory=dict)
    _longest_s: dict[str, float] = field(default_factory=dict)

    def record(self, arm: str, seconds: float) -> None:
        """Records how many seconds a published unit of the arm took."""
        self._seconds.setdefault(arm, deque(maxlen=_REMEMBERED)).append(seconds)
        self._longest_s[arm] = max(self._longest_s.get(arm, 0.0), seconds)

    def hangs_after_s(self, arm: str) -> float:
        """Seconds after which the arm's next unit counts as hung."""
        if self.unit_timeout_s is not None:
            return self.unit_timeout_s
        if arm not in self._longest_s:
            return _FIRST_UNIT_S
        return max(_HANGS_AT_TIMES * self._longest_s[arm], _HANGS_AT_LEAST_S)

    def lags_after_s(self, arm: str) -> float:
        """Seconds after which the arm's next unit counts as a straggler; infinite until three units have finished."""
        seconds = self._seconds.get(arm, ())
        if len(seconds) < _LAGS_AFTER_UNITS:
            return float("inf")
        return max(_LAGS_AT_TIMES * statistics.median(seconds), _LAGS_AT_LEAST_S)
