"""The notes about the dataset in a run's report: its description, rules that warn, and changes to the rows."""

from assay.cluster.report import record
from assay.cluster.report.terminal import verdict
from tests.cluster.report.terminal.check_reports import REPORT


def test_a_runs_report_names_the_rules_that_warn():
    dataset = {"description": "A digit.", "check": record.check_summary(REPORT)}
    assert [str(line) for line in verdict.dataset_notes(dataset)] == [
        "rows: A digit.",
        "the rows pass 1 of 2 rules of their contract",
        "warning: contract rule duplicates: 2 rows with the same features and label as an earlier row (allowed: none); first at a.csv:3",
        "changed when the rows were frozen: a.csv: a byte order mark",
    ]
