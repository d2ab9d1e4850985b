"""A check in the terminal: every rule that warns, with the rows that break it."""

import io

from rich.console import Console

from assay.cluster.report.terminal import check
from tests.cluster.report.terminal.check_reports import REPORT


def test_a_check_in_the_terminal_shows_values_as_they_are():
    told = io.StringIO()
    check.show(REPORT, Console(file=told, width=100))
    assert "  a.csv:3: [b]; it stands first at a.csv:2" in told.getvalue()
    assert "9 rows, 2 rules, 1 warns: nothing refuses these rows" in told.getvalue()
