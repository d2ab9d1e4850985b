"""Calibrations of the gate: small sealed files, one per run, seed and number of permutations, never replaced."""

import rfc8785

from assay.evaluator.errors import DamageError
from assay.evaluator.ledger.unreadable import first_line
from assay.evaluator.storage import Store
from assay.manifests.calibration import Calibration
from assay.manifests.ledger_layout import CALIBRATION_KEY, CALIBRATIONS_PREFIX, calibration_key


def find(store: Store, run_id: str, *, seed: int, num_permutations: int) -> Calibration | None:
    """The calibration in the ledger; None if there is none.

    Raises:
        DamageError: The file was changed.
    """
    key = calibration_key(run_id, seed, num_permutations)
    if not store.exists(key):
        return None
    calibration, problem = read(store, key)
    if calibration is None:
        raise DamageError(f"{store.uri}: '{key}' {problem}; restore it, or calibrate with another seed")
    return calibration


def keep(store: Store, calibration: Calibration) -> Calibration:
    """Seals a calibration and stores it unless the ledger already has it. Returns the stored one."""
    sealed = calibration.model_copy(update={"seal": calibration.digest()})
    at = {"seed": sealed.seed, "num_permutations": sealed.num_permutations}
    store.put_if_absent(calibration_key(sealed.run_id, **at), rfc8785.dumps(sealed.model_dump(mode="json")))
    stored = find(store, sealed.run_id, **at)
    assert stored is not None
    return stored


def keys(store: Store, run_id: str = "") -> list[str]:
    """The keys of all calibrations, or of those of one run. Files beside them that are none are left out."""
    prefix = f"{CALIBRATIONS_PREFIX}{run_id}/" if run_id else CALIBRATIONS_PREFIX
    return [found.key for found in store.listing(prefix) if CALIBRATION_KEY.fullmatch(found.key)]


def read(store: Store, key: str) -> tuple[Calibration | None, str]:
    """A stored calibration, or None and the problem with it."""
    try:
        content = store.get(key).to_pybytes()
    except FileNotFoundError:
        return None, "is missing"
    try:
        calibration = Calibration.model_validate_json(content)
    except (ValueError, RecursionError) as error:
        return None, f"was changed: {first_line(error)}"
    if calibration.digest() != calibration.seal or rfc8785.dumps(calibration.model_dump(mode="json")) != content:
        return None, f"was changed: its content does not match its seal {calibration.seal}"
    if calibration_key(calibration.run_id, calibration.seed, calibration.num_permutations) != key:
        return None, f"is the calibration of run '{calibration.run_id}': it was moved or copied"
    return calibration, ""
