"""Files of weights: which files a variant's `weights` name, their digest, and local copies for code that needs paths."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import rfc8785

from assay.evaluator.errors import VariantError
from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.provenance.code_files import files_under, name_under
from assay.evaluator.provenance.file_digests import file_digest
from assay.evaluator.storage import Store, split_uri
from assay.evaluator.storage.file_errors import described, file_errors, shown

_POINTER_BYTES = 1024
"""Git LFS pointers are smaller."""


@dataclass(frozen=True)
class WeightsFiles:
    """The files that a variant's `weights` name.

    Attributes:
        digest: The sha256 of the file, if `weights` is one file. Otherwise the sha256 of the canonical JSON of the
            numbers of the locations and the names and digests of their files; names are relative to their folder, so
            that moving it changes nothing.
        size_bytes: The size of all files together.
        paths: Where they are on this machine: one path per location, a file or a folder; empty if they were not fetched.
        content: The bytes, if `weights` is the one file of a torch variant and was read; otherwise None.
    """

    digest: str
    size_bytes: int
    paths: tuple[str, ...] = ()
    content: pa.Buffer | None = None


def weights_files(
    locations: Sequence[str], *, store_at: Callable[[str], Store], copies: Path | None = None, uses_cache: bool = False
) -> WeightsFiles:
    """Reads all files that some locations name.

    Args:
        locations: Paths or URIs of files or folders.
        store_at: Opens the store at a URI.
        copies: A folder for copies of files that are not on this machine; None: none are made, and no paths are returned.
        uses_cache: Whether the digest of a large local file may come from the digest cache instead of its content.

    Raises:
        VariantError: A location does not exist, cannot be read, is an empty folder, or is a Git LFS pointer.
        StoreError: A store cannot be read, or the folder for copies cannot be written.
    """
    files: list[tuple[int, str, str]] = []
    paths, size_bytes = [], 0
    for number, location in enumerate(locations):
        local = location.removeprefix("file://")
        if "://" in local:
            target = None if copies is None else copies / str(number) / split_uri(location)[1]
            found = _fetched(location, store_at, target)
            paths.append(str(target))
        else:
            found = _on_disk(Path(local), location, uses_cache=uses_cache)
            paths.append(local)
        for name, digest, size in found:
            files.append((number, name, digest))
            size_bytes += size
    is_one_file = len(locations) == 1 and [name for _, name, _ in files] == [split_uri(locations[0])[1]]
    digest = files[0][2] if is_one_file else sha256_digest(rfc8785.dumps([list(file) for file in files]))
    return WeightsFiles(digest, size_bytes, tuple(paths) if copies is not None else ())


def _on_disk(path: Path, location: str, *, uses_cache: bool) -> Iterator[tuple[str, str, int]]:
    """Name, digest and size of each file of a local location."""
    try:
        files = {path.name: path} if path.is_file() else {name_under(file, [path]): file for file in files_under(path)}
        if not files:
            raise _missing(location)
        for name, file in files.items():
            size = file.stat().st_size
            if size < _POINTER_BYTES:
                _refuse_pointer(file.read_bytes(), str(file))
            yield name, file_digest(file, uses_cache=uses_cache), size
    except OSError as error:
        place = shown(error.filename or location)
        raise VariantError(f"cannot be read: {described(error)}", place=place, field="weights") from error


def _fetched(location: str, store_at: Callable[[str], Store], target: Path | None) -> Iterator[tuple[str, str, int]]:
    """Name, digest and size of each object of a location in a store; with a target, they are written there."""
    folder, key = split_uri(location.rstrip("/"))
    store = store_at(folder)
    keys = [key] if store.exists(key) else [each.key for each in store.listing(f"{key}/")]
    if not keys:
        raise _missing(location)
    for each in keys:
        content = store.get(each)
        if content.size < _POINTER_BYTES:
            _refuse_pointer(content.to_pybytes(), f"{folder}/{each}")
        name = each.removeprefix(f"{key}/")
        if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
            raise VariantError(
                "the name of an object cannot be the name of a file",
                place=f"{folder}/{each}",
                field="weights",
                bound="parts other than '.' and '..', separated by single '/'",
                remedy="store it under another name",
            )
        if target is not None:
            file = target if each == key else target / name
            with file_errors("written", file):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        yield name, sha256_digest(content), content.size


def _refuse_pointer(content: bytes, place: str) -> None:
    """Refuses the text that Git LFS leaves in place of a file that was not fetched."""
    if content.startswith(b"version ") and b"\noid sha256:" in content:
        raise VariantError(
            "a Git LFS pointer, not the file that it points to",
            place=place,
            field="weights",
            remedy="run 'git lfs pull'",
        )


def _missing(location: str) -> VariantError:
    return VariantError(
        "there is no such file, and no folder with files",
        place=location,
        field="weights",
        remedy="weights are a path or a URI, relative to the manifest that names them",
    )
