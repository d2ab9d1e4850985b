"""A check report for tests: one rule passes, one warns, and the rows were changed once."""

from assay.manifests.check_report import CheckReport, Offender, RuleReport

HELD = RuleReport(rule="null", column="x", severity="error", bound="values", num_rows_checked=9, num_rows_broken=0, is_broken=False)  # fmt: skip
WARNS = RuleReport(
    rule="duplicates", severity="warn", bound="none", num_rows_checked=9, num_rows_broken=2, is_broken=True,
    offenders=(Offender(place="a.csv:3", value="[b]", note="it stands first at a.csv:2"),),
)  # fmt: skip
REPORT = CheckReport(num_rows=9, is_complete=True, rules=(HELD, WARNS), changes=("a.csv: a byte order mark",))
