"""Errors: what a message shows of a value."""

import datetime as dt

import pytest

from assay.manifests.errors import shortened


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (dt.date(2026, 11, 21), "2026-11-21"),
        (dt.datetime(2026, 11, 21, 13, 45, 51, 123456, tzinfo=dt.UTC), "2026-11-21T13:45:51.123456+00:00"),
        ("2026-11-21", "2026-11-21"),
        ("a\nb", r"'a\nb'"),
        (1.5, "1.5"),
    ],
)
def test_a_value_is_shown_as_it_would_be_typed(value, shown):
    assert shortened(value, limit=40) == shown
