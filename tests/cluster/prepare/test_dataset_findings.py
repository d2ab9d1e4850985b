"""Findings of a kind are merged into one answer, and findings about other rows do not count."""

from assay.cluster.prepare.dataset_findings import DatasetFindings
from assay.manifests.base import sha256_digest
from assay.manifests.finding import FindingKind, FindingSummary


def known(
    summary: str, *, is_fine: bool, compared_with: tuple[str, ...] = (), kind: FindingKind = "Leakage", at: int = 1
) -> FindingSummary:
    return FindingSummary(
        kind=kind,
        digest=sha256_digest(summary.encode()),
        is_fine=is_fine,
        summary=summary,
        found_at=f"2026-01-{at:02d}T00:00:00+00:00",
        compared_with=compared_with,
    )


def test_nothing_found_in_one_training_set_takes_nothing_back_of_another():
    leak = known("leak in a", is_fine=False, compared_with=("a",))
    clean = known("none in b", is_fine=True, compared_with=("b",), at=2)
    answer = DatasetFindings((leak, clean)).answer("Leakage")
    assert answer == leak


def test_a_later_search_of_all_the_same_training_sets_counts_alone():
    leak = known("leak in a", is_fine=False, compared_with=("a",))
    both = known("none in a and b", is_fine=True, compared_with=("a", "b"), at=2)
    assert DatasetFindings((leak, both)).answer("Leakage") == both
    assert DatasetFindings((both, leak)).answer("Leakage") == leak


def test_all_that_was_found_is_told_and_each_kind_answers_for_itself():
    first = known("leak in a", is_fine=False, compared_with=("a",))
    second = known("leak in b", is_fine=False, compared_with=("b",), at=2)
    drift = known("drift", is_fine=False, compared_with=("v1",), kind="Drift", at=3)
    found = DatasetFindings((first, second, drift))
    assert found.warnings == ("leak in b; leak in a", "drift")
    assert found.answer("Withdrawal") is None
