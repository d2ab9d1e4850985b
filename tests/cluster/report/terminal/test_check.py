"""A check in the terminal: every rule that warns, with the rows that violate it."""

import io

from rich.console import Console

from assay.cluster.report.terminal import check
from tests.cluster.report.terminal.check_reports import REPORT


def test_a_check_in_the_terminal_shows_values_as_they_are():
    output = io.StringIO()
    check.show(REPORT, Console(file=output, width=100))
    assert "  a.csv:3: [b]; repeats a.csv:2" in output.getvalue()
    assert "9 rows, 2 rules, 1 warning: these rows can be frozen" in output.getvalue()
