"""Drift: reported above threshold and chance bound only, without false alarms on small versions."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from assay.evaluator.data.versions import drift, drift_statistics
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.drift_thresholds import DriftThresholds

TYPES = {"float64": pa.float64(), "string": pa.string(), "int64": pa.int64(), "bool": pa.bool_()}


def compared(earlier: dict, later: dict, *, types: dict[str, str], drift_of: dict | None = None, **contract):
    """The drift of columns given as lists; all are nullable and of role info, except a label and a feature."""
    columns = tuple(
        Column(name=name, role="info", type=kind, nullable=True, drift=(drift_of or {}).get(name))
        for name, kind in types.items()
    )
    needed = (Column(name="y", role="label", type="bool"), Column(name="x", role="feature", type="float32"))
    promised = Contract(kind="Contract", version=1, columns=(*columns, *needed), **contract)
    followers = []
    for version in (earlier, later):
        follower = drift.Follower(tuple(column.frozen for column in columns))
        rows = pa.table({name: pa.array(values, TYPES[types[name]]) for name, values in version.items()})
        for start in range(0, rows.num_rows, 777):
            follower.take(rows.slice(start, 777))
        followers.append(follower)
    return {each.column: each for each in drift.compare(*followers, contract=promised)}


def statistics(found) -> dict[str, float]:
    return {each.name: each.value for each in found.statistics}


def test_a_column_that_moved_has_drifted_and_one_that_did_not_has_not():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 3000)), random.normal(size=(2, 2000))
    second[0] += 1
    found = compared(
        {"moved": first[0], "stayed": first[1]},
        {"moved": second[0], "stayed": second[1]},
        types={"moved": "float64", "stayed": "float64"},
    )
    assert found["moved"].has_drifted
    assert not found["stayed"].has_drifted
    expected = stats.ks_2samp(first[0], second[0]).statistic
    assert statistics(found["moved"])["kolmogorov_smirnov"] == pytest.approx(expected)
    edges = [-np.inf, *np.quantile(first[0], np.arange(1, 10) / 10, method="inverted_cdf"), np.inf]
    cells = [np.histogram(-values, -np.array(edges[::-1]))[0][::-1] for values in (first[0], second[0])]
    assert statistics(found["moved"])["psi"] == pytest.approx(drift_statistics.psi(*cells))
    jensen_shannon = distance.jensenshannon(*cells, base=2) ** 2
    assert statistics(found["moved"])["jensen_shannon"] == pytest.approx(jensen_shannon)


def test_a_hundred_thousand_values_are_compared_nearly_exactly():
    random = np.random.default_rng(1)
    first, second = random.lognormal(size=300_000), random.lognormal(0.1, 1, size=200_000)
    (found,) = compared({"a": first}, {"a": second}, types={"a": "float64"}).values()
    expected = stats.ks_2samp(first, second, method="asymp").statistic
    assert statistics(found)["kolmogorov_smirnov"] == pytest.approx(expected, abs=0.0002)


def test_a_column_of_nulls_that_had_none_is_a_null_explosion():
    full, half = ["a", "b"] * 100, ["a", None] * 100
    found = compared({"new": full, "old": half}, {"new": half, "old": half}, types={"new": "string", "old": "string"})
    assert found["new"].has_null_explosion
    assert found["new"].summary.startswith("null explosion: from no nulls to 50.0% of the rows; drifted (")
    assert statistics(found["new"])["null_fraction"] == 0.5
    assert not found["old"].has_null_explosion
    worse = compared({"a": half}, {"a": ["a", None, None, None] * 50}, types={"a": "string"})["a"]
    assert worse.has_drifted
    assert not worse.has_null_explosion  # there were nulls before


def test_a_version_without_any_value_is_compared_by_its_nulls():
    found = compared({"a": [1.0, 2.0] * 50}, {"a": [None] * 100}, types={"a": "float64"})["a"]
    assert (found.compared, found.has_null_explosion, [each.name for each in found.statistics]) == (
        "nothing",
        True,
        ["null_fraction"],
    )


def test_new_and_lost_categories_are_named():
    found = compared({"a": ["red"] * 60 + ["old"] * 40}, {"a": ["red"] * 60 + ["new"] * 40}, types={"a": "string"})["a"]
    assert found.compared == "categories"
    assert [(each.value, each.num_rows) for each in found.new_values] == [("new", 40)]
    assert [(each.value, each.num_rows) for each in found.lost_values] == [("old", 40)]
    assert statistics(found)["l_infinity"] == pytest.approx(0.4)
    assert "1 new: 'new' (40 rows); 1 lost: 'old' (40 rows)" in found.summary


def test_texts_that_all_differ_are_compared_by_their_length():
    found = compared(
        {"a": [f"{row:04}" for row in range(1000)]}, {"a": [f"{row:09}" for row in range(1000)]}, types={"a": "string"}
    )["a"]
    assert (found.compared, found.has_drifted) == ("lengths", True)


def test_a_column_has_thresholds_of_its_own():
    earlier, later = {"a": [True] * 500 + [False] * 500}, {"a": [True] * 700 + [False] * 300}
    assert compared(earlier, later, types={"a": "bool"})["a"].has_drifted
    loose = DriftThresholds(psi=5.0, jensen_shannon=None, l_infinity=0.5, null_fraction=None)
    found = compared(earlier, later, types={"a": "bool"}, drift_of={"a": loose})["a"]
    assert (found.has_drifted, [each.name for each in found.statistics]) == (False, ["psi", "l_infinity"])
    assert not compared(earlier, later, types={"a": "bool"}, drift=loose)["a"].has_drifted


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, size: random.normal(size=size),
        lambda random, size: random.integers(0, 3, size).astype(float),
        lambda random, size: random.choice(["a", "b", "c", "d"], p=[0.7, 0.2, 0.06, 0.04], size=size),
        lambda random, size: np.array([f"{value}" for value in random.zipf(1.5, size) % 200]),
        lambda random, size: np.where(random.random(size) < 0.1, None, "a"),
    ],
    ids=["normal", "ties", "rare", "many rare", "nulls"],
)
@pytest.mark.parametrize("sizes", [(20, 20), (100, 30), (400, 400)])
def test_small_versions_in_which_nothing_changed_do_not_cry_wolf(draw, sizes):
    random, num_alarms, num_past_threshold = np.random.default_rng(4), 0, 0
    for _ in range(100):
        first, second = draw(random, sizes[0]), draw(random, sizes[1])
        kind = "float64" if first.dtype == float else "string"
        found = compared({"a": list(first)}, {"a": list(second)}, types={"a": kind})["a"]
        num_alarms += any(each.value > each.chance for each in found.statistics)
        num_past_threshold += found.has_drifted
    assert num_alarms <= 11  # 5 are allowed; 12 of 100 would come by chance less than once in 200 tests
    assert num_past_threshold <= num_alarms


def test_real_drift_of_small_versions_is_seen():
    random = np.random.default_rng(5)
    found = compared({"a": random.normal(size=60)}, {"a": random.normal(2, 1, size=60)}, types={"a": "float64"})["a"]
    assert found.has_drifted


def test_names_do_not_drift_and_kinds_are_not_mixed():
    columns = (
        FrozenColumn(name="id", role="id", type="int64"),
        FrozenColumn(name="who", role="cluster", type="int64"),
        FrozenColumn(name="turned", role="feature", type="float32"),
        FrozenColumn(name="wider", role="feature", type="int32"),
    )
    other = (
        *columns[:2],
        columns[2].model_copy(update={"type": "string"}),
        columns[3].model_copy(update={"type": "float64"}),
    )
    first, second = drift.Follower(columns), drift.Follower(other)
    first.take(pa.table({"id": [1], "who": [1], "turned": [1.0], "wider": [1]}))
    second.take(pa.table({"id": [2], "who": [2], "turned": ["1"], "wider": [1.0]}))
    promised = Contract(
        kind="Contract",
        version=1,
        columns=(Column(name="y", role="label", type="bool"), Column(name="x", role="feature", type="float32")),
    )
    assert [each.column for each in drift.compare(first, second, contract=promised)] == ["wider"]
