"""Sweeps: the weights files that a sweep names, as they lie in a store, become its arms."""

import posixpath
import re
from fnmatch import fnmatchcase

from assay.evaluator.storage import open_store, split_uri
from assay.manifests import Experiment, InvalidInput

_SUFFIX = re.compile(r"\.(safetensors|pt|pth|bin)$")
_WILDCARD = re.compile(r"[*?[]")
_NUM_SHOWN = 3


def expanded(experiment: Experiment) -> Experiment:
    """The experiment with the arms of its sweep written out. Weights files are listed, not read.

    Raises:
        InvalidInput: No weights file matches, two of them get one name, or the arms do not agree with each other.
    """
    if experiment.sweep is None or experiment.sweep.weights is None:
        return experiment.expanded()
    return experiment.expanded(weights_files(experiment.sweep.weights))


def weights_files(location: str) -> dict[str, str]:
    """The weights files of a folder or a pattern, in the natural order of their paths: `step-9` before `step-10`.

    Args:
        location: A folder, or a path with `*`, `?` or `[a-z]` in any of its parts, on a disk or in a bucket.

    Returns:
        The location of each file by its name: what stands for the parts that have a wildcard, without the suffix.

    Raises:
        InvalidInput: There are none, two have one name, or the folder cannot be listed.
    """
    is_folder = not _WILDCARD.search(location) and not _SUFFIX.search(location)
    pattern = f"{location.rstrip('/')}/*" if is_folder else location
    fixed = _WILDCARD.split(pattern)[0]
    folder, start = split_uri(fixed)
    parts = (start + pattern.removeprefix(fixed)).split("/")
    store = open_store(folder)
    try:
        keys = sorted((entry.key for entry in store.listing(start)), key=_natural)
    except OSError as error:
        raise InvalidInput(f"cannot be listed: {error}", place=location, field="sweep.weights") from None
    found: dict[str, str] = {}
    for key in keys:
        if not _SUFFIX.search(key) or not _matches(key, parts):
            continue
        name = _name(key, parts)
        if name in found:
            raise InvalidInput(
                "two weights files have one name",
                place=location,
                field="sweep.weights",
                value=f"{posixpath.basename(found[name])} and {key}",
                remedy="take files of one suffix, as in *.safetensors",
            )
        found[name] = posixpath.join(store.uri, key)
    if not found:
        there = f"{', '.join(keys[:_NUM_SHOWN])}{', …' * (len(keys) > _NUM_SHOWN)}"
        raise InvalidInput(
            "no weights file matches",
            place=location,
            field="sweep.weights",
            value=there or "nothing there",
            bound="a folder or a pattern of .safetensors, .pt, .pth or .bin files",
        )
    return found


def _matches(key: str, parts: list[str]) -> bool:
    given = key.split("/")
    return len(given) == len(parts) and all(map(fnmatchcase, given, parts))


def _name(key: str, parts: list[str]) -> str:
    given = _SUFFIX.sub("", key).split("/")
    left_open = [name for name, part in zip(given, parts, strict=True) if _WILDCARD.search(part)]
    return "-".join(left_open or given[-1:])


def _natural(key: str) -> tuple[list[tuple[str, int]], str]:
    """Orders numbers inside texts by their value."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", key)], key
