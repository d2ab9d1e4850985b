"""What an invariant may contain, and attempts to make it do more."""

import time
from pathlib import Path

import pyarrow as pa
import pytest

from assay.evaluator.data.check.invariants import Invariants, locked_connection
from assay.evaluator.data.ingest import Chunk, Origin
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract, Invariant
from assay.manifests.contract_column import Column

COLUMNS = (
    Column(name="y", role="label", type="int8"),
    Column(name="a", role="feature", type="int32"),
    Column(name="b", role="feature", type="float64"),
    Column(name="t", role="info", type="string", nullable=True),
    Column(name="day", role="timestamp", type="timestamp"),
    Column(name="select", role="info", type="bool"),
    Column(name="v", role="info", type="float32", shape=(2,)),
    Column(name="note", role="ignored"),
)


def invariants(*sqls):
    named = tuple(Invariant(name=f"i{at}", sql=sql) for at, sql in enumerate(sqls))
    return Invariants(Contract(kind="Contract", version=1, columns=COLUMNS, invariants=named))


ALLOWED = [
    "a > 0", "a between 1 and 10 and b is not null", "t is null or length(t) < 9", "t in ('x', 'y') or t like 'x%'",
    "case when a > 1 then b > 0 else true end", "not (a is distinct from 3)", "abs(b) < 1e9", "b / 2 < a ** 2",
    "day > timestamp '2020-01-01' and year(day) < 2100", "day - interval 1 day < day", "date_diff('day', day, day) = 0",
    '"select" or a > 0', "a > 0 -- a comment", "a > 0 /* one ) more */", "coalesce(t, '') = '' or true", "true",
    "try_cast(t as integer) is null", "cast(a as decimal(10, 2)) > 0.5", "regexp_full_match(t, '[a-z]+') or true",
    "t = 'it''s; DROP TABLE x' or true", "lower(trim(t)) || 'x' <> ''", "a % 2 = 1 or -a // 2 <= 0",
    "extract(year from day) > 2000", "t is not null or nullif(a, 3) > 0", "greatest(a, b) >= least(a, b)",
]  # fmt: skip


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_condition_over_the_columns_of_a_row_is_asked(sql):
    taken = invariants(sql)
    rows = pa.table(
        {
            "y": pa.array([1], pa.int8()),
            "a": pa.array([3], pa.int32()),
            "b": [2.0],
            "t": ["x"],
            "day": pa.array([1_700_000_000_000_000], pa.timestamp("us", "UTC")),
            "select": [True],
        }
    )
    assert taken.take(Chunk(rows, Origin("rows.csv", "line", 2)), is_readable=None) == []
    assert taken.tallies[0].num_checked == 1


REFUSED = [
    # files and the environment
    ("(select count(*) from read_csv('/etc/passwd')) > 0", "a query"),
    ("exists (select * from '/etc/passwd')", "a query"),
    ("a in (select 1)", "a query"),
    ("a > all (select 1)", "a query"),
    ("read_text('/etc/passwd') = ''", "read_text may not be called"),
    ("read_csv('/etc/passwd')", "read_csv may not be called"),
    ("getenv('HOME') = ''", "getenv may not be called"),
    ("current_setting('threads') = '1'", "current_setting may not be called"),
    ("current_user = 'x'", "no column 'current_user'"),
    ("pg_sleep(10)", "pg_sleep may not be called"),
    ("nextval('s') > 0", "nextval may not be called"),
    ("query('select 1')", "query may not be called"),
    # the clock and random numbers: the same rows could pass today and fail tomorrow
    ("random() < 2", "random may not be called"),
    ("now() > day", "now may not be called"),
    ("day < current_date", "no column 'current_date'"),
    # more than one condition, or none
    ("a > 0) FROM read_csv('/etc/passwd') --", "cannot be parsed as a condition"),
    ("a > 0); COPY (select 1) TO '/tmp/assay-broke-out' --", "cannot be parsed as a condition"),
    ("true), (select 1", ""),
    ("1); ATTACH '/tmp/assay-broke-out.db'; SELECT (1", ""),
    ("1); INSTALL httpfs; SELECT (1", ""),
    ("1); PRAGMA database_list; SELECT (1", ""),
    ("COPY (select 1) TO '/tmp/assay-broke-out'", "cannot be parsed as a condition"),
    ("ATTACH '/tmp/assay-broke-out.db'", "may not be cast to attach"),
    ("INSTALL httpfs", "cannot be parsed as a condition"),
    ("PRAGMA threads=4", "cannot be parsed as a condition"),
    ("SET threads = 4", "cannot be parsed as a condition"),
    ("select a from chunk", ""),
    ("true) WHERE (false", ""),
    ("true) UNION ALL SELECT (true", ""),
    ("true) FROM chunk, (select 1", ""),
    ("true) GROUP BY (1", ""),
    ("true) LIMIT (0", ""),
    ("true) ORDER BY (1", ""),
    ("a > 0, b > 0", "row may not be called"),
    ("*", "*"),
    ("COLUMNS('a') > 0", "*"),
    ("$1", "a parameter"),
    ("?", ""),
    ("a", "not a condition: its values are of type int32, not bool"),
    ("'true'", "not a condition"),
    ("null", "not a condition"),
    ("a >", "cannot be parsed as a condition"),
    ("a > 0 /*", "cannot be parsed"),
    # several rows at once
    ("sum(a) > 0", "sum may not be called"),
    ("row_number() over () > 0", "a window over rows"),
    ("count(*) > 0", "may not be called"),
    # expensive functions
    ("len(range(1000000000000)) > 0", "range may not be called"),
    ("repeat('x', 1000000000000) = t", "repeat may not be called"),
    ("lpad(t, 1000000000, 'x') = t", "lpad may not be called"),
    ("printf('%1000000000d', a) = t", "printf may not be called"),
    ("list_sum([x for x in range(10)]) > 0", "may not be called"),
    ("len(generate_series(1, 1000000000)) > 0", "generate_series may not be called"),
    # other kinds of values, columns that do not exist
    ("[1][a] > 0", "a condition cannot contain"),
    ("t collate nocase = 'x'", "cannot contain collate"),
    ("main.lower(t) = 'x'", ""),
    ("t::json is null", "may not be cast to json"),
    ("a::regclass > 0", "may not be cast to regclass"),
    ("aa > 0", "no column 'aa', or ignores it; got aa > 0"),
    ("A > 0", "no column 'A'"),
    ("note = 'x'", "no column 'note', or ignores it"),
    ("chunk.a > 0", "no column 'chunk.a'"),
    ("v > 0", "'v' is a tensor"),
    ("t > 1.5::int + day", "types do not fit"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "words"), REFUSED)
def test_whatever_is_more_than_a_condition_is_refused_before_a_row_is_read(sql, words):
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        invariants(sql)
    assert caught.value.field == "invariants.i0"
    assert words in str(caught.value)
    assert time.monotonic() - started < 5
    assert not list(Path("/tmp").glob("assay-broke-out*"))


def test_the_nearest_name_is_guessed():
    with pytest.raises(DataError, match="did you mean 'day'"):
        invariants("days > timestamp '2020-01-01'")


def test_an_expression_nested_out_of_all_measure_is_refused():
    with pytest.raises(DataError):
        invariants("(" * 2500 + "true" + ")" * 2500 + " and " + "not " * 1000 + "a > 0")


def test_one_statement_past_the_parser_would_still_find_nothing_to_open(tmp_path):
    connection = locked_connection()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM '{tmp_path}/secret.csv'",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 4",
        "SET enable_external_access = true",
        "SELECT * FROM pytest",
    ):
        with pytest.raises(Exception, match=r"disabled|locked|does not exist|not found|Cannot"):
            connection.sql(sql).fetchall()
    assert {each.name for each in tmp_path.iterdir()} == {"secret.csv"}


def test_values_on_which_an_expression_fails_break_it_one_by_one():
    taken = invariants("10 // a > 0", "cast(t as integer) > 0")
    rows = pa.table({"a": pa.array([1, 0, 20, 0], pa.int32()), "t": ["1", None, "x", "0"]})
    found = taken.take(Chunk(rows, Origin("rows.csv", "line", 2)), is_readable=None)
    assert [(each.place, each.remedy.partition(":")[0]) for each in found] == [
        ("rows.csv:3", "its evaluation failed"),
        ("rows.csv:4", ""),
        ("rows.csv:5", "its evaluation failed"),
        ("rows.csv:4", "its evaluation failed"),
        ("rows.csv:5", ""),
    ]
    assert [tally.num_broken for tally in taken.tallies] == [3, 2]
