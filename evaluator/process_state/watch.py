"""The watch of this process: what arms and scorers have changed in it, and who was scored after that."""

import os
from collections.abc import Collection
from dataclasses import dataclass

from assay.evaluator.process_state import definitions, settings
from assay.evaluator.process_state.definitions import DefinitionReader
from assay.manifests.plain_text import plain

_NUM_TOLD = 5
"""How many changes a text names; it counts the others."""
_LONGEST_VALUE = 120
_SHOWN_IN_COMMON = 10
_OF_TORCH = ("torch", "torchvision", "torchaudio")
"""Packages that no analysis uses."""


@dataclass(frozen=True)
class ProcessChange:
    """A change of something that all code of this process shares.

    Attributes:
        by: Who made it, as text.
        arms: The arms whose own code made it: it does not make their scores wrong.
        what: The setting or definition.
        before: What it was.
        after: What it is.
        module: The user's module that it concerns; empty: every arm.
        alters_analysis: Whether it may also alter how scores are analysed in this process.
    """

    by: str
    arms: frozenset[str]
    what: str
    before: str
    after: str
    module: str = ""
    alters_analysis: bool = False

    def __str__(self) -> str:
        """Who changed what from what to what."""
        return plain(f"{self.by} changed {self.what} from {self.before} to {self.after}")


class ProcessWatch:
    """Compares this process with what it was, each time that other code than before is about to run in it.

    Attributes:
        changes: Every change that was found, in order.
    """

    def __init__(self) -> None:
        """Remembers the process as it is."""
        self.changes: list[ProcessChange] = []
        self._reader = DefinitionReader()
        self.restart()

    def restart(self) -> None:
        """Remembers the process as it is now: what has changed since the last look is nobody's change."""
        self._settings, self._definitions = settings.captured(), self._reader.captured()

    def look(self, by: str, arms: Collection[str] = ()) -> None:
        """Finds what was changed since the last look.

        Args:
            by: Whose code has run since, as text.
            arms: The arms whose code that is.
        """
        before, held = self._settings, self._definitions
        self.restart()
        of = frozenset(arms)
        for name, was, now in settings.changes(before, self._settings):
            values = _short(was, now)
            self.changes.append(ProcessChange(by, of, name, *values, alters_analysis=name in settings.OF_ANALYSIS))
        for each in definitions.redefinitions(held, self._definitions):
            alters = not each.module and not each.name.removeprefix("module ").startswith(_OF_TORCH)
            self.changes.append(ProcessChange(by, of, each.name, *_short(each.before, each.after), each.module, alters))

    def altered_by(self, arm: str, modules: Collection[str]) -> str:
        """What others have changed before an arm is scored now; empty: nothing.

        Args:
            arm: The arm.
            modules: The user's modules that its code, or that of a scorer, imports.
        """
        return _told([each for each in self.changes if arm not in each.arms and each.module in ("", *modules)])

    def altered_analysis(self) -> str:
        """The changes that may also alter how the scores are analysed in this process; empty: none."""
        return _told([each for each in self.changes if each.alters_analysis])


def _told(changes: list[ProcessChange]) -> str:
    told = [str(each) for each in dict.fromkeys(changes)]
    more = f"; and {len(told) - _NUM_TOLD} more changes" * (len(told) > _NUM_TOLD)
    return f"{'; '.join(told[:_NUM_TOLD])}{more}"


def _short(before: str, after: str) -> tuple[str, str]:
    """Two values, each as a text of limited length; of long ones, without what both begin with."""
    start = len(os.path.commonprefix([before, after]))  # noqa: RUF071  # of characters, as intended
    if max(len(before), len(after)) <= _LONGEST_VALUE or start < _SHOWN_IN_COMMON:
        start = _SHOWN_IN_COMMON
    shown = ["..." * (start > _SHOWN_IN_COMMON) + each[start - _SHOWN_IN_COMMON :] for each in (before, after)]
    first, second = (each if len(each) <= _LONGEST_VALUE else f"{each[: _LONGEST_VALUE - 3]}..." for each in shown)
    return first, second
