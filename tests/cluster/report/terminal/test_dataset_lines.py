"""What a run's report says of the rows: what they are, how many rules they were held to, which warn, what was changed."""

import io

from rich.console import Console

from assay.cluster.report import record
from assay.cluster.report.terminal import check, verdict
from assay.manifests.check_report import CheckReport, Offender, RuleReport

HELD = RuleReport(rule="null", column="x", severity="error", bound="values", num_rows_checked=9, num_rows_broken=0, is_broken=False)  # fmt: skip
WARNS = RuleReport(
    rule="duplicates", severity="warn", bound="none", num_rows_checked=9, num_rows_broken=2, is_broken=True,
    offenders=(Offender(place="a.csv:3", value="[b]", note="it stands first at a.csv:2"),),
)  # fmt: skip
REPORT = CheckReport(num_rows=9, is_complete=True, rules=(HELD, WARNS), changes=("a.csv: a byte order mark",))


def test_a_runs_report_names_the_rules_that_warn():
    found = {"description": "A digit.", "check": record.check_summary(REPORT)}
    assert [str(line) for line in verdict.dataset_notes(found)] == [
        "rows: A digit.",
        "the rows hold 1 of the 2 rules of their contract",
        "warning: the rows break duplicates: allowed none, 2 rows; first at a.csv:3",
        "changed when the rows were frozen: a.csv: a byte order mark",
    ]


def test_a_check_in_the_terminal_shows_values_as_they_are():
    told = io.StringIO()
    check.show(REPORT, Console(file=told, width=100))
    assert "  a.csv:3: [b]; it stands first at a.csv:2" in told.getvalue()
    assert "9 rows, 2 rules, 1 warns: nothing refuses these rows" in told.getvalue()
