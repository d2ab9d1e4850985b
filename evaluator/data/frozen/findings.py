"""Findings: results about a frozen dataset (drift, leakage, withdrawal), stored with it and never replaced."""

import re

import rfc8785
from pydantic import TypeAdapter, ValidationError

from assay.evaluator.errors import DamageError
from assay.evaluator.storage import Store
from assay.manifests.finding import Finding, Withdrawal

_FINDING: TypeAdapter[Finding] = TypeAdapter(Finding)
_NAME = re.compile(r"[a-z]+-[0-9a-f]{64}\.json")
"""The name of a finding's file: its kind and digest."""


def keep(store: Store, finding: Finding) -> str:
    """Stores a finding with its dataset; the same finding is stored once.

    Returns:
        Its digest.
    """
    digest = finding.digest()
    key = f"{_prefix(finding.reference)}{finding.kind.lower()}-{digest.removeprefix('sha256:')}.json"
    store.put_if_absent(key, rfc8785.dumps(finding.model_dump(mode="json")))
    return digest


def findings_of(store: Store, reference: str, *, rows_digest: str | None = None) -> list[Finding]:
    """The findings about `name@version`, ordered by time.

    Args:
        store: The dataset's store.
        reference: `name@version`.
        rows_digest: Returns only the findings about these rows; None: all findings under this name and version.

    Raises:
        DamageError: The stored bytes of a finding were changed.
    """
    findings: list[Finding] = []
    for entry in store.listing(_prefix(reference)):
        if not _NAME.fullmatch(entry.key.removeprefix(_prefix(reference))):  # not Assay's
            continue
        content = store.get(entry.key).to_pybytes()
        try:
            finding = _FINDING.validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise DamageError(
                f"{store.uri}: '{entry.key}' was changed, or was written by another release: field "
                f"'{'.'.join(map(str, first['loc']))}': {first['msg']}; remove the file and repeat the search that wrote it"
            ) from None
        name = entry.key.rpartition("-")[2].removesuffix(".json")
        if finding.digest() != f"sha256:{name}" or finding.reference != reference:
            raise DamageError(f"{store.uri}: '{entry.key}' was changed: its content does not match its name")
        if rows_digest in (None, finding.rows_digest):
            findings.append(finding)
    return sorted(findings, key=lambda finding: (finding.found_at, finding.digest()))


def withdrawal_of(store: Store, reference: str, *, rows_digest: str | None = None) -> Withdrawal | None:
    """The withdrawal of `name@version`, the first if there are several; None if it was not withdrawn.

    Args:
        store: The dataset's store.
        reference: `name@version`.
        rows_digest: As for `findings_of`.

    Raises:
        DamageError: The stored bytes of a finding were changed.
    """
    findings = findings_of(store, reference, rows_digest=rows_digest)
    return next((finding for finding in findings if isinstance(finding, Withdrawal)), None)


def _prefix(reference: str) -> str:
    name, _, version = reference.partition("@")
    return f"findings/{name}/{version}/"
