"""Dataset findings: what is known of the dataset of a run, from its store now and from when the run was opened."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from assay.evaluator.data.frozen import findings
from assay.evaluator.data.frozen.references import stored_dataset
from assay.evaluator.errors import StoreError
from assay.evaluator.storage import Store, open_store, split_uri
from assay.manifests.dataset import Dataset
from assay.manifests.drift_report import DriftReport
from assay.manifests.finding import Finding
from assay.manifests.leakage import Leakage
from assay.manifests.run import Run

LINEAGE_FIELD = "findings"
"""The circumstance of a run's lineage that holds what was known when it was opened."""
Kind = Literal["Withdrawal", "Leakage", "Drift"]


@dataclass(frozen=True)
class FindingSummary:
    """A finding, as far as a run or its gate needs it.

    Attributes:
        kind: Such as `Leakage`.
        digest: The finding's.
        is_fine: Whether it says that all is well.
        words: What was found.
        found_at: When.
        beside: What the dataset was compared with, by digests.
    """

    kind: str
    digest: str
    is_fine: bool
    words: str
    found_at: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetFindings:
    """What is known of a run's dataset.

    Attributes:
        all: In the order of time.
        problem: Why the store was not asked; empty if it was.
    """

    all: tuple[FindingSummary, ...] = field(default=())
    problem: str = ""

    def answer(self, kind: Kind) -> FindingSummary | None:
        """What all findings of a kind say together; None: there are none.

        The newest counts, and each before it that was compared with something that none since was: who finds nothing
        in one training set takes back nothing that was found in another.
        """
        counted, compared = list[FindingSummary](), set[str]()
        for each in reversed(self.all):
            if each.kind == kind and (not counted or not compared.issuperset(each.beside)):
                counted.append(each)
                compared.update(each.beside)
        bad = [each for each in counted if not each.is_fine]
        if len(bad) > 1:
            return replace(bad[0], words="; ".join(each.words for each in bad))
        return next(iter(bad or counted), None)

    @property
    def withdrawn(self) -> str:
        """That the version was withdrawn, in words; empty if it was not."""
        found = self.answer("Withdrawal")
        return "" if found is None else found.words

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not fine, in words: one for each kind."""
        answers = [self.answer(kind) for kind in get_args(Kind)]
        return tuple(each.words for each in answers if each is not None and not each.is_fine)


def in_store(store: Store, dataset: Dataset) -> DatasetFindings:
    """What a dataset's store knows of its rows now.

    Raises:
        DamageError: A finding was changed.
    """
    known = findings.findings_of(store, dataset.reference, rows_digest=dataset.rows_digest)
    return DatasetFindings(tuple(_summary(each) for each in known))


def as_lineage(known: DatasetFindings) -> list[dict[str, Any]]:
    """Findings as a run's lineage records them."""
    return [asdict(each) for each in known.all]


def at_opening(run: Run) -> DatasetFindings:
    """What was known when a run was opened."""
    recorded: Any = run.lineage.circumstance.get(LINEAGE_FIELD) or ()
    return DatasetFindings(
        tuple(FindingSummary(**{**each, "beside": tuple(each.get("beside", ()))}) for each in recorded)
    )


def now(run: Run) -> DatasetFindings:
    """What is known of a run's dataset now; findings are never deleted, so what was known once still is.

    Raises:
        DamageError: A finding was changed.
    """
    uri, reference = split_uri(run.experiment.dataset)
    recorded = at_opening(run).all
    try:
        store = open_store(uri)
        dataset = stored_dataset(store, reference)
        if dataset is None or dataset.digest() != run.dataset_digest:
            return DatasetFindings(recorded, f"{run.experiment.dataset} is not there any more")
        found = {each.digest: each for each in (*recorded, *in_store(store, dataset).all)}
    except StoreError as error:
        return DatasetFindings(recorded, str(error))
    return DatasetFindings(tuple(sorted(found.values(), key=lambda each: (each.found_at, each.digest))))


def _summary(finding: Finding) -> FindingSummary:
    beside: tuple[str, ...] = ()
    if isinstance(finding, Leakage):
        beside = tuple(each.sha256 for each in finding.training)
    elif isinstance(finding, DriftReport):
        beside = (finding.earlier_rows_digest,)
    return FindingSummary(finding.kind, finding.digest(), finding.is_fine, finding.words, finding.found_at, beside)
