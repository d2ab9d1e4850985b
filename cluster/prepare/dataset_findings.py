"""Dataset findings (withdrawal, leakage, drift) about a run's dataset, as of now and as of the run's opening."""

from dataclasses import dataclass, field
from typing import Any, get_args

from assay.evaluator.data.frozen import findings
from assay.evaluator.data.frozen.references import stored_dataset
from assay.evaluator.errors import StoreError
from assay.evaluator.storage import Store, open_store, split_uri
from assay.manifests.dataset import Dataset
from assay.manifests.drift_report import DriftReport
from assay.manifests.finding import Finding, FindingKind, FindingSummary
from assay.manifests.leakage import Leakage
from assay.manifests.run import Run

LINEAGE_FIELD = "findings"
"""The entry of a run's lineage with the findings as of the run's opening."""


@dataclass(frozen=True)
class DatasetFindings:
    """The findings about a run's dataset.

    Attributes:
        all: All findings, the oldest first.
        problem: Why the dataset's store could not be read; empty if it was.
    """

    all: tuple[FindingSummary, ...] = field(default=())
    problem: str = ""

    def answer(self, kind: FindingKind) -> FindingSummary | None:
        """The findings of a kind, merged into one; None if there are none.

        The newest finding counts, and so does every older one that was compared with something that no newer one was
        compared with: finding nothing in one training set does not retract a leak found in another.
        """
        counted, compared = list[FindingSummary](), set[str]()
        for each in reversed(self.all):
            if each.kind == kind and (not counted or not compared.issuperset(each.compared_with)):
                counted.append(each)
                compared.update(each.compared_with)
        bad = [each for each in counted if not each.is_fine]
        if len(bad) > 1:
            return bad[0].model_copy(update={"summary": "; ".join(each.summary for each in bad)})
        return next(iter(bad or counted), None)

    @property
    def withdrawn(self) -> str:
        """A message if the version was withdrawn; empty if it was not."""
        withdrawal = self.answer("Withdrawal")
        return "" if withdrawal is None else withdrawal.summary

    @property
    def warnings(self) -> tuple[str, ...]:
        """The bad findings, one message per kind."""
        answers = [self.answer(kind) for kind in get_args(FindingKind)]
        return tuple(each.summary for each in answers if each is not None and not each.is_fine)


def in_store(store: Store, dataset: Dataset) -> DatasetFindings:
    """The findings that a dataset's store has now.

    Raises:
        DamageError: A finding was changed.
    """
    stored = findings.findings_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    return DatasetFindings(tuple(_summary(each) for each in stored))


def as_lineage(dataset_findings: DatasetFindings) -> list[dict[str, Any]]:
    """Findings as a run's lineage records them."""
    return [each.model_dump(mode="json") for each in dataset_findings.all]


def at_opening(run: Run) -> DatasetFindings:
    """The findings as of the run's opening."""
    recorded: Any = run.lineage.circumstance.get(LINEAGE_FIELD) or ()
    return DatasetFindings(tuple(FindingSummary.model_validate(each, strict=False) for each in recorded))


def now(run: Run) -> DatasetFindings:
    """The findings about a run's dataset now, together with those recorded when the run was opened.

    Findings are never deleted, so recorded ones count even if the store cannot be read.

    Raises:
        DamageError: A finding was changed.
    """
    uri, reference = split_uri(run.experiment.dataset)
    recorded = at_opening(run).all
    try:
        store = open_store(uri)
        dataset = stored_dataset(store, reference)
        if dataset is None or dataset.digest() != run.dataset_digest:
            return DatasetFindings(recorded, f"{run.experiment.dataset} no longer exists")
        by_digest = {each.digest: each for each in (*recorded, *in_store(store, dataset).all)}
    except StoreError as error:
        return DatasetFindings(recorded, str(error))
    return DatasetFindings(tuple(sorted(by_digest.values(), key=lambda each: (each.found_at, each.digest))))


def _summary(finding: Finding) -> FindingSummary:
    compared_with: tuple[str, ...] = ()
    if isinstance(finding, Leakage):
        compared_with = tuple(each.sha256 for each in finding.training)
    elif isinstance(finding, DriftReport):
        compared_with = (finding.earlier_rows_digest,)
    return FindingSummary(
        kind=finding.kind,
        digest=finding.digest(),
        is_fine=finding.is_fine,
        summary=finding.summary,
        found_at=finding.found_at,
        compared_with=compared_with,
    )
