"""Findings: what was found out about a frozen dataset after it was frozen, kept beside it and never replaced."""

import rfc8785
from pydantic import TypeAdapter, ValidationError

from assay.evaluator.errors import DamageError
from assay.evaluator.storage import Store
from assay.manifests.finding import Finding, Withdrawal

_FINDING: TypeAdapter[Finding] = TypeAdapter(Finding)


def keep(store: Store, finding: Finding) -> str:
    """Stores a finding beside its dataset; the same finding is stored once.

    Returns:
        Its digest.
    """
    digest = finding.digest()
    key = f"{_prefix(finding.reference)}{finding.kind.lower()}-{digest.removeprefix('sha256:')}.json"
    store.put_if_absent(key, rfc8785.dumps(finding.model_dump(mode="json")))
    return digest


def findings_of(store: Store, reference: str, *, rows_digest: str | None = None) -> list[Finding]:
    """What was found out about `name@version`, ordered by when it was.

    Args:
        store: The dataset's store.
        reference: `name@version`.
        rows_digest: The rows that are meant: of others that the version once stood for, nothing is told. None: of all.

    Raises:
        DamageError: A finding was changed.
    """
    findings: list[Finding] = []
    for entry in store.listing(_prefix(reference)):
        content = store.get(entry.key).to_pybytes()
        try:
            finding = _FINDING.validate_json(content)
        except ValidationError as error:
            raise DamageError(f"{store.uri}: '{entry.key}' was changed: {error.errors()[0]['msg']}") from None
        name = entry.key.rpartition("-")[2].removesuffix(".json")
        if finding.digest() != f"sha256:{name}" or finding.reference != reference:
            raise DamageError(f"{store.uri}: '{entry.key}' was changed: it is not what its name says")
        if rows_digest in (None, finding.rows_digest):
            findings.append(finding)
    return sorted(findings, key=lambda finding: (finding.found_at, finding.digest()))


def withdrawal_of(store: Store, reference: str, *, rows_digest: str | None = None) -> Withdrawal | None:
    """The withdrawal of `name@version`, the first if there are several; None if nobody withdrew it.

    Args:
        store: The dataset's store.
        reference: `name@version`.
        rows_digest: As for `findings_of`.

    Raises:
        DamageError: A finding was changed.
    """
    known = findings_of(store, reference, rows_digest=rows_digest)
    return next((finding for finding in known if isinstance(finding, Withdrawal)), None)


def _prefix(reference: str) -> str:
    name, _, version = reference.partition("@")
    return f"findings/{name}/{version}/"
