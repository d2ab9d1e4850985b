"""Tables of scores: csv and parquet, long and wide, and errors in them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.stats.errors import SamplesError
from assay.stats.samples.table import read_scores
from tests.stats.plans import plan

LONG = "arm,row_id,score\ncontrol,1,0.5\na,1,0.7\ncontrol,2,0.1\na,2,0.9\n"
WIDE = "row_id,control,a\n1,0.5,0.7\n2,0.1,0.9\n"


@pytest.fixture
def write(tmp_path):
    def written(text, name="scores.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def test_long_and_wide_hold_the_same_scores(write):
    long = read_scores(write(LONG), plan())
    wide = read_scores(write(WIDE), plan(columns={"arms": "*"}))
    assert long.arms == ("a", "control")
    assert wide.arms == ("control", "a")
    assert long.scores_RA[:, ::-1].tolist() == wide.scores_RA.tolist() == [[0.5, 0.7], [0.1, 0.9]]


def test_tabs_zip_and_parquet_are_read(write, tmp_path):
    assert read_scores(write(LONG.replace(",", "\t"), "scores.tsv"), plan()).num_rows == 2
    table = pa.table({"arm": ["a", "control"] * 2, "row_id": [1, 1, 2, 2], "score": [0.7, 0.5, 0.9, 0.1]})
    pq.write_table(table, tmp_path / "scores.parquet")
    assert read_scores(tmp_path / "scores.parquet", plan()).scores_RA.tolist() == [[0.7, 0.5], [0.9, 0.1]]


def test_columns_are_named_by_the_plan(write):
    path = write("model,item,f1,lang,page\ncontrol,x,1,en,p\na,x,0,en,p\ncontrol,y,1,de,p\na,y,1,de,p\n")
    columns = {"arm": "model", "row": "item", "score": "f1", "segment": "lang", "cluster": "page"}
    found = read_scores(path, plan(columns=columns))
    assert found.segments_R is not None
    assert found.segments_R.tolist() == ["en", "de"]
    assert found.clusters_R is not None
    assert found.clusters_R.tolist() == [0, 0]


def test_only_the_columns_listed_are_arms(write):
    path = write("row_id,control,note,a\n1,1,x,0\n2,0,y,1\n")
    assert read_scores(path, plan(columns={"arms": ("a", "control")})).arms == ("a", "control")


def test_true_false_and_padded_numbers_are_numbers(write):
    found = read_scores(write("row_id,control,a\n1,true, 1 \n2,false,0\n"), plan(columns={"arms": "*"}))
    assert found.scores_RA.tolist() == [[1, 1], [0, 0]]


def test_numbers_are_read_to_the_last_bit(write):
    found = read_scores(write("row_id,control,a\n1,0.1,1e-320\n2,0.30000000000000004,1\n"), plan(columns={"arms": "*"}))
    assert found.scores_RA.tolist() == [[0.1, 1e-320], [0.1 + 0.2, 1.0]]


def test_unpaired_scores_need_no_row(write):
    path = write("arm,score\ncontrol,3\ncontrol,1\na,5\na,4\na,6\n")
    found = read_scores(path, plan(design="unpaired", columns={"row": None}))
    np.testing.assert_array_equal(found.scores_RA, [[4, 1], [5, 3], [6, np.nan]])


def test_unpaired_columns_may_differ_in_length(write):
    path = write("control,a\n3,5\n1,4\n,6\n")
    found = read_scores(path, plan(design="unpaired", columns={"row": None, "arms": "*"}))
    np.testing.assert_array_equal(found.scores_RA, [[1, 4], [3, 5], [np.nan, 6]])


def test_a_missing_score_is_kept_where_the_plan_has_a_rule(write):
    path = write(LONG.replace("0.9", ""))
    assert np.isnan(read_scores(path, plan(missing="worst")).scores_RA).sum() == 1


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        (LONG.replace("0.9", ""), {}, r"scores.csv: score: 1 of 4 scores are missing.*row 2 \(data line 4\).*'missing: worst'"),
        (LONG.replace("0.9", "nan"), {}, r"row 2 \(data line 4\)"),
        (LONG.replace("0.9", "NA"), {}, r"row 2 \(data line 4\)"),
        (LONG.replace("0.9", "n/k"), {}, r"scores.csv: data line 4: score: a score is not a number; got n/k"),
        (LONG.replace("0.9", "inf"), {"missing": "worst"}, r"scores.csv: arm 'a', row 2: .*infinite"),
        (LONG, {"scale": "binary"}, r"scores.csv: row 1 \(data line 1\): score: 4 of 4 scores are neither 0 nor 1; got 0.5"),
        (LONG.replace("row_id", "row_ids"), {}, r"no such column; got 'row_id'; did you mean 'row_ids'"),
        (WIDE, {}, r"no such column; got 'arm'; .*columns: \{arms"),
        (WIDE, {"columns": {"arms": ("control", "b")}}, "no such column; got 'b'"),
        (LONG + "a,2,0.9\n", {}, r"scores.csv: arm 'a', row 2: row_id: the row occurs 2 times"),
        (LONG.replace("control", "base"), {}, "scores.csv: arm: the scores have no such arm; got control; known: a, base"),
        ("arm,row_id,score\ncontrol,1,0.5\na,1,0.7\n", {}, "only one row per arm"),
        ("arm,row_id,score\n", {}, "the table has no rows"),
        ("", {}, "not a csv table"),
        ("arm,row_id,score\ncontrol,1\n", {}, "not a csv table"),
        ("row_id,control,a,a\n1,1,1,1\n", {"columns": {"arms": "*"}}, "two columns have the same name"),
        (WIDE.replace("0.9", "x"), {"columns": {"arms": "*"}}, "data line 2: a: a score is not a number; got x"),
        (LONG.replace("a,1,", ",1,"), {}, "line 2 of the scores: arm: a line has no arm"),
        (LONG.replace("a,1,", "a,,"), {}, "line 2 of the scores: row_id: a row has no id"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused_by_place_and_value(write, text, changes, words):
    with pytest.raises(SamplesError, match=words):
        read_scores(write(text), plan(**changes))


def test_a_file_that_is_no_table_is_refused(write, tmp_path):
    with pytest.raises(SamplesError, match="file not found"):
        read_scores(tmp_path / "nothing.csv", plan())
    with pytest.raises(SamplesError, match=r"unknown file extension for a table of scores.*\.csv.*\.parquet"):
        read_scores(write("{}", "scores.json"), plan())
    with pytest.raises(SamplesError, match="not a parquet table"):
        read_scores(write("{}", "scores.parquet"), plan())
