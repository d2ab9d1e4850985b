"""References: `name@version` to the manifest that is stored under it, and never to another."""

from pydantic import ValidationError

from evaluator.errors import DamageError, DataError
from evaluator.storage import Store
from manifests.dataset import Dataset


def manifest_key(reference: str) -> str:
    """Where the manifest of `name@version` lies in a store."""
    name, _, version = reference.partition("@")
    return f"refs/{name}/{version}.json"


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
