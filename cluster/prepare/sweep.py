"""Sweeps: lists the weights files that a sweep names and expands them into arms."""

import posixpath
import re
from fnmatch import fnmatchcase

from assay.evaluator.storage import open_store, split_uri
from assay.manifests import Experiment, InvalidInput

_SUFFIX = re.compile(r"\.(safetensors|pt|pth|bin)$")
_WILDCARD = re.compile(r"[*?[]")
_NUM_SHOWN = 3


def expanded(experiment: Experiment) -> Experiment:
    """The experiment with its sweep expanded into arms. Weights files are listed, not read.

    Raises:
        InvalidInput: No weights file matches, two of them get the same name, or the arms conflict with each other.
    """
    if experiment.sweep is None or experiment.sweep.weights is None:
        return experiment.expanded()
    return experiment.expanded(weights_files(experiment.sweep.weights))


def weights_files(location: str) -> dict[str, str]:
    """The weights files of a folder or a glob, in the natural order of their paths: `step-9` before `step-10`.

    Args:
        location: A folder, or a path with `*`, `?` or `[a-z]` in any of its parts, on a disk or in a bucket.

    Returns:
        The location of each file by its name. The name consists of the path's parts that match a wildcard, joined by
        `-`, without the suffix.

    Raises:
        InvalidInput: No file matches, or two files get the same name.
        StoreError: The folder cannot be listed.
    """
    is_folder = not _WILDCARD.search(location) and not _SUFFIX.search(location)
    pattern = f"{location.rstrip('/')}/*" if is_folder else location
    fixed = _WILDCARD.split(pattern)[0]
    folder, start = split_uri(fixed)
    parts = (start + pattern.removeprefix(fixed)).split("/")
    store = open_store(folder)
    keys = sorted((entry.key for entry in store.listing(start)), key=_natural)
    locations: dict[str, str] = {}
    for key in keys:
        if not _SUFFIX.search(key) or not _matches(key, parts):
            continue
        name = _name(key, parts)
        if name in locations:
            raise InvalidInput(
                f"two weights files give arms of the same name, '{name}'",
                place=location,
                field="sweep.weights",
                value=f"{posixpath.basename(locations[name])} and {key}",
                remedy="match files with one suffix only, such as *.safetensors",
            )
        locations[name] = posixpath.join(store.uri, key)
    if not locations:
        files = f"{', '.join(keys[:_NUM_SHOWN])}{', …' * (len(keys) > _NUM_SHOWN)}"
        raise InvalidInput(
            "no weights file matches",
            place=location,
            field="sweep.weights",
            value=files or "no files",
            bound="a folder or a glob of .safetensors, .pt, .pth or .bin files",
        )
    return locations


def _matches(key: str, parts: list[str]) -> bool:
    names = key.split("/")
    return len(names) == len(parts) and all(map(fnmatchcase, names, parts))


def _name(key: str, parts: list[str]) -> str:
    names = _SUFFIX.sub("", key).split("/")
    matched = [name for name, part in zip(names, parts, strict=True) if _WILDCARD.search(part)]
    return "-".join(matched or names[-1:])


def _natural(key: str) -> tuple[list[tuple[str, int]], str]:
    """A sort key that orders numbers inside texts by their value."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", key)], key
