"""Findings of a dataset: stored once, read back in order, and damage is detected."""

import pytest

from assay.evaluator.data.frozen import findings
from assay.evaluator.errors import DamageError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.finding import Withdrawal

ROWS = f"sha256:{'0' * 64}"


def withdrawal(reason: str, *, at: str = "2026-01-02T03:04:05+00:00", reference: str = "small@v1") -> Withdrawal:
    return Withdrawal(reference=reference, rows_digest=ROWS, found_at=at, found_by="someone", reason=reason)


def test_findings_are_read_back_in_the_order_of_time():
    store = MemoryStore("findings")
    late, early = withdrawal("late", at="2026-03-01T00:00:00+00:00"), withdrawal("early")
    other = withdrawal("another dataset", reference="small@v11")
    for finding in (late, early, late, other):
        findings.keep(store, finding)
    assert findings.findings_of(store, "small@v1") == [early, late]
    assert findings.findings_of(store, "small@v2") == []


def test_what_was_found_out_about_other_rows_of_the_same_name_is_not_told():
    store = MemoryStore("findings")
    findings.keep(store, withdrawal("early"))
    assert findings.withdrawal_of(store, "small@v1", rows_digest=ROWS) == withdrawal("early")
    assert findings.withdrawal_of(store, "small@v1", rows_digest=f"sha256:{'1' * 64}") is None


def test_a_withdrawal_by_nobody_in_particular_reads_well():
    nobody = withdrawal("wrong labels").model_copy(update={"found_by": ""})
    assert nobody.summary == "withdrawn on 2026-01-02: wrong labels"


@pytest.mark.parametrize("change", [(b"early", b"merry"), (b"Withdrawal", b"Withdrawa1"), (b"small@v1", b"small@v2")])
def test_a_changed_finding_is_damage(change):
    store = MemoryStore("findings")
    findings.keep(store, withdrawal("early"))
    (entry,) = store.listing("findings/")
    store.replace(entry.key, store.get(entry.key).to_pybytes().replace(*change))
    with pytest.raises(DamageError, match="was changed") as error:
        findings.findings_of(store, "small@v1")
    assert "validation error" not in str(error.value)
