"""Opening a ledger: a ledger of an earlier layout is refused once, before anything is read from it or written to it."""

from contextlib import suppress

from assay.evaluator.errors import DamageError, LedgerError, NoObjectError
from assay.evaluator.storage import Store, open_store, prove_put_if_absent
from assay.manifests.errors import InvalidInput
from assay.manifests.ledger_layout import EARLIER_LAYOUTS, FORMAT, FORMAT_KEY, LAYOUT


def open_ledger(uri: str, *, patient: bool = False) -> Store:
    """Opens the store of a ledger, which may not exist yet.

    Args:
        uri: The ledger's location.
        patient: Whether to wait for a store that does not respond.

    Raises:
        LedgerError: It holds a ledger of a layout that this release does not read.
        StoreError: The location is not that of a store, or the store cannot be reached.
    """
    store = open_store(uri, patient=patient)
    for layout in EARLIER_LAYOUTS:
        if store.exists(f"{layout}/FORMAT.json"):
            raise LedgerError(
                f"{store.uri}: this ledger has the layout {layout} of an earlier release; this release reads and "
                f"writes {LAYOUT}. Name another location as `ledger` and run the experiment again; the runs in this "
                "one stay readable with the release that wrote them"
            )
    return store


def open_existing_ledger(uri: str) -> Store:
    """Opens the store of a ledger to read it.

    Raises:
        InvalidInput: There is no ledger at this location.
        LedgerError: It holds a ledger of a layout that this release does not read.
        StoreError: The location is not that of a store, or the store cannot be reached.
    """
    store = open_ledger(uri)
    with suppress(NoObjectError):  # for `assay ledger verify` to name
        if not store.exists(FORMAT_KEY) and next(iter(store.listing(f"{LAYOUT}/")), None) is None:
            raise InvalidInput(
                f"there is no ledger here (no {FORMAT_KEY})",
                place=store.uri,
                remedy="give the folder or URI that your experiments name as `ledger`, with --ledger or in ASSAY_LEDGER",
            )
    return store


def create_ledger(store: Store) -> None:
    """Turns a store into a ledger if it is not one yet.

    Raises:
        StoreError: The store overwrites existing objects and therefore cannot hold evidence.
        DamageError: The object that marks the store as a ledger was changed.
    """
    prove_put_if_absent(store, key=FORMAT_KEY, content=FORMAT.encode())
    content = store.get(FORMAT_KEY).to_pybytes()
    if content != FORMAT.encode():
        raise DamageError(
            f"{store.uri}: '{FORMAT_KEY}' was changed: it must be {FORMAT}, but it is {content[:80]!r}; if this is a ledger "
            "of Assay, delete this file and run again: it is written again"
        )
