"""Stores: where objects are kept. `open_store(uri)` opens one."""

from assay.evaluator.storage.store import A_FOLDER, Store, StoredObject, prove_put_if_absent
from assay.evaluator.storage.uri import open_store, split_uri

__all__ = ["A_FOLDER", "Store", "StoredObject", "open_store", "prove_put_if_absent", "split_uri"]
