"""A check report for tests: one rule passes, one warns, and one thing was changed while reading."""

from assay.manifests.check_report import CheckReport, Offender, RuleReport

PASSED = RuleReport(rule="null", column="x", severity="error", bound="values", num_rows_checked=9, num_rows_broken=0, is_broken=False)  # fmt: skip
WARNS = RuleReport(
    rule="duplicates", severity="warn", bound="none", num_rows_checked=9, num_rows_broken=2, is_broken=True,
    offenders=(Offender(place="a.csv:3", value="[b]", note="repeats a.csv:2"),),
)  # fmt: skip
REPORT = CheckReport(num_rows=9, is_complete=True, rules=(PASSED, WARNS), changes=("a.csv: a byte order mark",))
