"""The notes about the dataset in a run's report: its description, rules that warn, and changes to the rows."""

from assay.cluster.report.terminal import verdict
from assay.manifests.run_report import ReportedDataset
from tests.cluster.report.terminal.check_reports import REPORT


def test_a_runs_report_names_the_rules_that_warn():
    dataset = ReportedDataset(
        reference="digits@v1",
        digest=f"sha256:{'0' * 64}",
        num_rows=9,
        description="A digit.",
        check=REPORT,
        findings=(),
        withdrawn="",
    )
    assert [str(line) for line in verdict.dataset_notes(dataset)] == [
        "rows: A digit.",
        "the rows pass 1 of 2 rules of their contract",
        "warning: contract rule duplicates: 2 rows repeat the features and label of an earlier row (the contract warns about any); first at a.csv:3",
        "changed when the rows were frozen: a.csv: a byte order mark",
    ]
