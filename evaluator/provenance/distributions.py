"""Distributions: what is installed under which name, and which distribution a file belongs to."""

import csv
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.metadata import Distribution
from pathlib import Path


def normalised(name: str) -> str:
    """The name of a distribution in the form by which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(names: Iterable[str]) -> Iterator[Distribution]:
    """The installed distributions of these names, in whatever form they are written."""
    for name in names:
        yield from metadata.distributions(name=name)


def owner(file: Path, among: Iterable[Distribution]) -> Distribution | None:
    """The first of some distributions that has installed a file; None if none of them has.

    The remains of a broken uninstall have no name, and own nothing.
    """
    return next((each for each in among if each.metadata["Name"] and _has_installed(each, file)), None)


def _has_installed(distribution: Distribution, file: Path) -> bool:
    """Whether a file is in the list of a distribution's files, as it is named or with links resolved.

    Some Linux distributions remove that list. Then the file must be in one of the distribution's top-level modules.
    """
    top = Path(str(distribution.locate_file(""))).absolute()
    pairs = ((file.absolute(), top), (file.resolve(), top.resolve()))
    inside = {path.relative_to(folder) for path, folder in pairs if path.is_relative_to(folder)}
    if not inside:
        return False
    record = distribution.read_text("RECORD")
    if record is None:
        own_name = normalised(distribution.metadata["Name"]).replace("-", "_")
        modules = (distribution.read_text("top_level.txt") or own_name).split()
        return any(path.parts[0].partition(".")[0] in modules for path in inside)
    return any(
        path.as_posix() in record and any(row and row[0] == path.as_posix() for row in csv.reader(record.splitlines()))
        for path in inside
    )
