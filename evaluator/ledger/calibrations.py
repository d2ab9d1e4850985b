"""Calibrations: small sealed files beside a run, one a seed and number of permutations, never replaced."""

import rfc8785

from assay.evaluator.errors import DamageError
from assay.evaluator.storage import Store
from assay.manifests.calibration import Calibration
from assay.manifests.ledger_layout import CALIBRATIONS_PREFIX, calibration_key


def find(store: Store, run_id: str, *, seed: int, num_permutations: int) -> Calibration | None:
    """The calibration that the ledger has; None if it has none.

    Raises:
        DamageError: It was changed.
    """
    key = calibration_key(run_id, seed, num_permutations)
    if not store.exists(key):
        return None
    found, problem = read(store, key)
    if found is None:
        raise DamageError(f"{store.uri}: '{key}' {problem}")
    return found


def keep(store: Store, calibration: Calibration) -> Calibration:
    """Seals a calibration and stores it, if nobody has; the stored one is the answer."""
    sealed = calibration.model_copy(update={"seal": calibration.digest()})
    at = {"seed": sealed.seed, "num_permutations": sealed.num_permutations}
    store.put_if_absent(calibration_key(sealed.run_id, **at), rfc8785.dumps(sealed.model_dump(mode="json")))
    stored = find(store, sealed.run_id, **at)
    assert stored is not None
    return stored


def keys(store: Store) -> list[str]:
    """The keys of all calibrations."""
    return [found.key for found in store.listing(CALIBRATIONS_PREFIX)]


def read(store: Store, key: str) -> tuple[Calibration | None, str]:
    """A stored calibration, or what is wrong with it."""
    content = store.get(key).to_pybytes()
    try:
        found = Calibration.model_validate_json(content)
    except ValueError as error:
        return None, f"was changed: {str(error).splitlines()[0]}"
    if found.digest() != found.seal or rfc8785.dumps(found.model_dump(mode="json")) != content:
        return None, f"was changed: it is not what its seal says, {found.seal}"
    if calibration_key(found.run_id, found.seed, found.num_permutations) != key:
        return None, f"is the calibration of run '{found.run_id}': moved, or a copy"
    return found, ""
