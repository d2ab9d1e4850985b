"""References: finds the one manifest that is stored under a `name@version`."""

import re

from pydantic import ValidationError

from assay.evaluator.errors import DamageError, DataError
from assay.evaluator.storage import Store
from assay.manifests.dataset import Dataset

_DIGEST_START = re.compile(r"sha256:[0-9a-f]{12,64}")
"""A dataset's digest, or a prefix that is long enough to be unique."""


_MANIFEST_KEY = re.compile(r"refs/([A-Za-z0-9][A-Za-z0-9_.-]*)/([A-Za-z0-9][A-Za-z0-9_.-]*)\.json")
"""The keys that `manifest_key` returns."""


def manifest_key(reference: str) -> str:
    """The key of the manifest of `name@version` in a store."""
    name, _, version = reference.partition("@")
    return f"refs/{name}/{version}.json"


def references(store: Store, *, name: str | None = None) -> list[str]:
    """Every `name@version` of a store, or the versions of one name, in order. Files that are no manifests are left out."""
    prefix = "refs/" if name is None else f"refs/{name}/"
    matches = (_MANIFEST_KEY.fullmatch(entry.key) for entry in store.listing(prefix))
    return sorted(f"{match[1]}@{match[2]}" for match in matches if match)


def dataset_of_digest(store: Store, name: str, digest: str) -> Dataset:
    """The version of a name that has a digest. Of several, which then have the same rows, the first in order.

    Args:
        store: The dataset store.
        name: The dataset's name.
        digest: Its digest, or a prefix of at least 12 digits.

    Raises:
        DataError: No version has this digest, or versions with different digests match the prefix.
        DamageError: No intact manifest has this digest, and one is damaged.
    """
    place = f"{store.uri}/{name}@{digest}"
    if not _DIGEST_START.fullmatch(digest):
        raise DataError(
            "not a valid digest",
            place=place,
            bound="sha256: followed by 12 to 64 hexadecimal digits in lower case",
            remedy="'assay dataset ls' lists the digests",
        )
    datasets, damage = dict[str, Dataset | None](), ""
    for reference in references(store, name=name):
        try:
            datasets[reference] = stored_dataset(store, reference)
        except DamageError as error:  # another version's, unless none of the others has the digest
            damage = str(error)
    digests = {reference: dataset.digest() for reference, dataset in datasets.items() if dataset is not None}
    matching = [reference for reference, whole in digests.items() if whole.startswith(digest)]
    if damage and not matching:
        raise DamageError(damage)
    if len({digests[reference] for reference in matching}) != 1:
        listed = {reference: digests[reference] for reference in matching} or digests
        candidates = ", ".join(f"{reference} {whole}" for reference, whole in listed.items())
        raise DataError(
            "several versions have digests that begin like this" if matching else "no version has this digest",
            place=place,
            bound=candidates,
            remedy="give more digits" if matching else "" if candidates else f"the store has no dataset named {name}",
        )
    dataset = datasets[matching[0]]
    assert dataset is not None
    return dataset


def stored_dataset(store: Store, reference: str, *, wanted: Dataset | None = None) -> Dataset | None:
    """The manifest that is stored under `name@version`, or None if there is none.

    Args:
        store: The dataset store.
        reference: `name@version`.
        wanted: The dataset that the manifest must agree with in rows and columns. Shards and source files may differ.
            None: any.

    Raises:
        DataError: The stored dataset has other rows, or the same rows in columns of other roles or types.
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
    if stored.reference != reference:
        raise DamageError(
            f"{store.uri}/{key}: the dataset manifest is of {stored.reference}; restore that of {reference} from a copy"
        )
    if wanted is None or (stored.rows_digest, stored.columns) == (wanted.rows_digest, wanted.columns):
        return stored
    remedy = "a version cannot be overwritten: freeze under a new version"
    if stored.rows_digest != wanted.rows_digest:
        raise DataError(
            "the version already exists with other rows",
            place=f"{store.uri}/{reference}",
            value=f"rows {wanted.rows_digest} ({wanted.num_rows:,})",
            bound=f"rows {stored.rows_digest} ({stored.num_rows:,})",
            remedy=remedy,
        )
    raise DataError(
        "the version already exists with the same rows under another contract",
        place=f"{store.uri}/{reference}",
        value=f"columns {wanted.digest()}",
        bound=f"columns {stored.digest()}",
        remedy=remedy,
    )
