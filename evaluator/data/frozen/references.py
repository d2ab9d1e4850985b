"""References: `name@version` to the manifest that is stored under it, and never to another."""

import re

from pydantic import ValidationError

from assay.evaluator.errors import DamageError, DataError
from assay.evaluator.storage import Store
from assay.manifests.dataset import Dataset

_DIGEST_START = re.compile(r"sha256:[0-9a-f]{12,64}")
"""A dataset's digest, or so much of its beginning that nobody meets another by chance."""


def manifest_key(reference: str) -> str:
    """Where the manifest of `name@version` lies in a store."""
    name, _, version = reference.partition("@")
    return f"refs/{name}/{version}.json"


def references(store: Store, *, name: str | None = None) -> list[str]:
    """Every `name@version` of a store, or the versions of one name, in order."""
    prefix = "refs/" if name is None else f"refs/{name}/"
    keys = [entry.key.removeprefix("refs/").removesuffix(".json") for entry in store.listing(prefix)]
    return sorted("@".join(key.rpartition("/")[::2]) for key in keys)


def dataset_of_digest(store: Store, name: str, digest: str) -> Dataset:
    """The version of a name that has a digest. Where several have it, their rows are the same: the first in order.

    Args:
        store: Where to look.
        name: The dataset's name.
        digest: Its digest, or at least 12 of the digits that it begins with.

    Raises:
        DataError: No version has such a digest, or several with different ones do.
        DamageError: A manifest is damaged.
    """
    place = f"{store.uri}/{name}@{digest}"
    if not _DIGEST_START.fullmatch(digest):
        raise DataError(
            "not a digest",
            place=place,
            bound="sha256: and from 12 to 64 of its hexadecimal digits, in lower case",
            remedy="'assay dataset ls' lists them",
        )
    known = {reference: stored_dataset(store, reference) for reference in references(store, name=name)}
    digests = {reference: dataset.digest() for reference, dataset in known.items() if dataset is not None}
    matching = [reference for reference, found in digests.items() if found.startswith(digest)]
    if len({digests[reference] for reference in matching}) != 1:
        listed = {reference: digests[reference] for reference in matching} or digests
        there = ", ".join(f"{reference} {found}" for reference, found in listed.items())
        raise DataError(
            "several versions have digests that begin so" if matching else "no version has this digest",
            place=place,
            bound=there or f"nothing: the store has no dataset of the name {name}",
            remedy="give more of its digits" if matching else "",
        )
    dataset = known[matching[0]]
    assert dataset is not None
    return dataset


def stored_dataset(store: Store, reference: str, *, wanted: Dataset | None = None) -> Dataset | None:
    """The manifest that is stored under `name@version`, or None if there is none.

    Args:
        store: Where to look.
        reference: `name@version`.
        wanted: What the manifest must stand for: these rows in these columns. How they are cut into shards, and
            which files they came from, may differ.

    Raises:
        DataError: The name stands for other rows, or for other roles of the columns.
        DamageError: The manifest is damaged.
    """
    key = manifest_key(reference)
    try:
        content = store.get(key)
    except FileNotFoundError:
        return None
    try:
        stored = Dataset.model_validate_json(bytes(memoryview(content)))
    except ValidationError as error:
        raise DamageError(
            f"{store.uri}/{key}: the dataset manifest is damaged ({error.error_count()} problems, first: {error.errors()[0]['msg']}); restore it from a copy"
        ) from None
    if wanted is None or (stored.rows_digest, stored.columns) == (wanted.rows_digest, wanted.columns):
        return stored
    remedy = "a version never moves: freeze under a new version"
    if stored.rows_digest != wanted.rows_digest:
        raise DataError(
            "the version holds other rows",
            place=f"{store.uri}/{reference}",
            value=f"rows {wanted.rows_digest} ({wanted.num_rows:,})",
            bound=f"rows {stored.rows_digest} ({stored.num_rows:,})",
            remedy=remedy,
        )
    raise DataError(
        "the version holds the same rows under another contract",
        place=f"{store.uri}/{reference}",
        value=f"columns {wanted.digest()}",
        bound=f"columns {stored.digest()}",
        remedy=remedy,
    )
