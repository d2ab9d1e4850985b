"""Operating points, outcome values, custom scorers and rankings in complete runs: decisions, records, errors."""

import json
import sys

import numpy as np
import pytest
import yaml
from sklearn import metrics as reference

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.evaluator import list_columns
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.ledger import reader
from assay.evaluator.storage import open_store
from assay.manifests import AssayError, InvalidInput, parse
from tests import builders
from tests.score_tables import score_tables

VALUES = {0: {0: 0.0, 1: -5.0}, 1: {0: -20.0, 1: 10.0}}
POINT = {"false_positive_rate": 0.05}

CODE = """
import numpy as np


def noisy(features, *, noise, slope):
    \"\"\"Probability of class 1: rises with x, with noise that is a function of x.\"\"\"
    x = features["x"]
    return np.clip(0.5 + slope * (x - 0.5) + noise * np.sin(x * 1e6), 0, 1)


def certainty(predictions, probabilities, labels):
    return probabilities[np.arange(len(labels)), labels]


def right_in_time(predictions, probabilities, labels, columns):
    \"\"\"1 where the class is right; rows of group b whose x is at most 0.25 are always wrong.\"\"\"
    return (predictions == labels) & ((columns["group"] == "a") | (columns["x"] > 0.25))


def not_a_flag(predictions, probabilities, labels, columns):
    return columns["x"]


def constant(predictions, probabilities, labels):
    return [1.0] * (len(labels) - 1)


def ranks(features, *, noise):
    x = features["x"]
    return x + noise * np.sin(x * 1e6)
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "own_code.py").write_text(CODE)
    sys.modules.pop("own_code", None)
    return tmp_path


def run(experiment):
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared.store, prepared.run.run_id


def noisy(noise, slope=1.0):
    parameters = {"noise": noise, "slope": slope}
    return builders.variant() | {"entrypoint": "own_code:noisy", "parameters": parameters}


ARMS = {"control": noisy(0.3), "better": noisy(0.05, slope=5.0), "blunt": noisy(0.05)}


def suite(primary, *others, margins=None, direction="higher", **plan):
    return {
        **builders.SUITE,
        "metrics": [primary, *others],
        "plan": {
            **builders.SUITE["plan"],
            "metric": primary["name"],
            "direction": direction,
            "scale": "continuous",
            "guardrails": [
                {"kind": "metric", "metric": name, "margin": margin} for name, margin in (margins or {}).items()
            ],
            **plan,
        },
    }


def scored(store, run_id, arm):
    tables = score_tables(store, reader.committed_files(store, run_id), arm)
    labels, second = zip(
        *((table["label"].to_numpy(), list_columns.matrix(table["probabilities"])[:, 1]) for table in tables),
        strict=True,
    )
    return np.concatenate(labels), np.concatenate(second)


def test_value_at_an_operating_point_decides_and_its_threshold_is_recorded(place):
    planned = suite(
        {"name": "value", "measure": "value_per_row", "values": VALUES, "operating_point": POINT},
        {"name": "recall", "measure": "recall", "operating_point": POINT},
        {"name": "accuracy", "measure": "accuracy", "threshold": 0.25},
        {"name": "own", "measure": "custom", "scorer": "own_code:certainty", "direction": "higher"},
        {"name": "ap", "measure": "average_precision"},
        margins={"recall": 0.05, "accuracy": 0.5, "own": 0.2, "ap": 0.1},
    )
    store, run_id = run(builders.write_experiment(place, arms=ARMS, suite=planned))
    report = document(store, run_id).plain()
    rows = reader.read_table(store, reader.committed_files(store, run_id), "metrics").to_pylist()
    found = {(row["arm"], row["metric"]): row for row in rows}

    labels, second = scored(store, run_id, "control")
    rates, _, levels = reference.roc_curve(labels, second, drop_intermediate=False)
    last = levels[np.flatnonzero(rates <= 0.05)[-1]]
    threshold = (last + np.array(second)[np.array(second) < last].max()) / 2
    assert {row["threshold"] for row in rows if row["metric"] in ("value", "recall")} == {threshold}
    assert report["thresholds"] == {"value": threshold, "recall": threshold, "accuracy": 0.25}

    for arm in ARMS:
        labels, second = scored(store, run_id, arm)
        said = second >= threshold
        costs = reference.confusion_matrix(labels, said) * np.array([[0.0, -5.0], [-20.0, 10.0]])
        expected = {
            "value": costs.sum() / len(labels),
            "recall": reference.recall_score(labels, said),
            "accuracy": reference.accuracy_score(labels, second >= 0.25),
            "own": np.where(labels == 1, second, 1 - second).mean(),
            "ap": reference.average_precision_score(labels, second),
        }
        assert {name: found[arm, name]["value"] for name in expected} == pytest.approx(expected, rel=1e-9)
        (estimate,) = (row for row in report["analysis"]["arms"] if row["arm"] == arm)
        assert estimate["mean"] == pytest.approx(expected["value"], rel=1e-9)
    # blunt ranks the rows almost perfectly, but few of its probabilities reach the control's threshold
    assert found["blunt", "ap"]["value"] > found["control", "ap"]["value"]
    decisions = {row["arm"]: row["decision"] for row in report["decisions"]}
    assert decisions == {"better": "promote", "blunt": "hold"}
    verdicts = {(row["metric"], row["comparison"]["arm"]): row["verdict"] for row in report["analysis"]["guardrails"]}
    assert {verdicts[name, "better"] for name in ("recall", "accuracy", "ap", "own")} == {"non_inferior"}

    recorded = {metric.name: metric for metric in reader.read_run(store, run_id).experiment.suite.metrics}
    assert recorded["own"].scorer_digest is not None


def test_a_custom_measure_of_0_and_1_sees_the_columns_and_is_compared_as_binary(place):
    own = {"name": "own", "measure": "custom", "scorer": "own_code:right_in_time", "direction": "higher"}
    planned = suite({**own, "scale": "binary"}, scale="binary")
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant()}
    store, run_id = run(builders.write_experiment(place, arms=arms, suite=planned))
    analysis = document(store, run_id).plain()["analysis"]
    late = [row["group"] == "b" and row["x"] <= 0.25 for row in builders.rows(200)]
    assert {arm["arm"]: arm["mean"] for arm in analysis["arms"]}["better"] == pytest.approx(1 - np.mean(late))
    assert analysis["scale"] == "binary"
    assert {pair["method"] for pair in analysis["comparisons"]} == {"mcnemar"}
    files = reader.committed_files(store, run_id)
    assert set(np.concatenate([t["score_own"].to_numpy() for t in score_tables(store, files, "control")])) == {
        0,
        1,
    }


def test_a_custom_measure_that_is_not_what_its_scale_says_fails_the_arm(place):
    own = {"name": "own", "measure": "custom", "scorer": "own_code:not_a_flag", "direction": "higher"}
    experiment = builders.write_experiment(place, suite=suite({**own, "scale": "binary"}, scale="binary"))
    with pytest.raises(AssayError, match="neither 0 nor 1; return one of them, or remove 'scale: binary'"):
        run(experiment)
    planned = suite({**own, "scale": "binary"}, scale="continuous")
    with pytest.raises(InvalidInput, match=r"plan.scale is continuous, but scores of 'own' are binary"):
        pipeline.prepare(str(builders.write_experiment(place, suite=planned)))


def test_units_are_taken_over_only_under_the_same_scorer_and_parameters(place):
    def keys(values, code=CODE):
        (place / "own_code.py").write_text(code)
        sys.modules.pop("own_code", None)
        planned = suite(
            {"name": "value", "measure": "value_per_row", "values": values},
            {"name": "own", "measure": "custom", "scorer": "own_code:certainty", "direction": "higher"},
        )
        arms = {name: builders.variant(flip_every=every) for name, every in (("control", 5), ("better", 0))}
        return pipeline.prepare(str(builders.write_experiment(place, arms=arms, suite=planned))).run.unit_keys

    first = keys(VALUES)
    assert keys(VALUES) == first
    assert not set(keys({**VALUES, 1: {0: -20.0, 1: 11.0}}).values()) & set(first.values())
    assert not set(keys(VALUES, CODE + "\n# another\n").values()) & set(first.values())


def ranked_experiment(place, *, cluster="query", role="cluster"):
    rng = np.random.default_rng(1)
    lines = [
        {"key": row, "query": f"q{row // 6:03d}", "x": float(x), "y": int(x * 3), "half": "ab"[row // 6 % 2]}
        for row, x in enumerate(rng.random(600))
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = [
        {"name": "key", "role": "id", "type": "int64"},
        {"name": "query", "role": role, "type": "string"},
        {"name": "x", "role": "feature", "type": "float64"},
        {"name": "y", "role": "label", "type": "int64"},
        {"name": "half", "role": "segment", "type": "string"},
    ]
    contract = parse(yaml.safe_dump({"kind": "Contract", "version": 1, "columns": columns}), file="c", kind="Contract")
    (place / "datasets").mkdir()
    store = open_store(str(place / "datasets"))
    freeze([place / "rows.jsonl"], contract=contract, reference="small@v1", store=store, shard_rows=64)
    planned = suite(
        {"name": "ndcg", "measure": "ndcg", "k": 3},
        {"name": "mrr", "measure": "mrr"},
        {"name": "hits", "measure": "hit_rate", "k": 1},
        {"name": "r2", "measure": "r2"},
        {"name": "p90", "measure": "quantile_loss", "quantile": 0.9},
        {"name": "mape", "measure": "absolute_percentage_error"},
        margins={"mrr": 0.1, "r2": 0.5},
        columns={"segment": "half", **({"cluster": cluster} if cluster else {})},
    )
    arms = {
        name: builders.variant() | {"entrypoint": "own_code:ranks", "parameters": {"noise": noise}, "output": "values"}
        for name, noise in (("control", 0.6), ("better", 0.1), ("worse", 2.0))
    }
    return builders.write_experiment(place, arms=arms, suite=planned)


def test_rankings_are_compared_query_by_query(place):
    store, run_id = run(ranked_experiment(place))
    report = document(store, run_id).plain()
    metrics = {arm["arm"]: arm["metrics"] for arm in report["arms"]}
    for arm in metrics:
        tables = list(score_tables(store, reader.committed_files(store, run_id), arm))
        labels, values = (np.concatenate([t[name].to_numpy() for t in tables]) for name in ("label", "prediction"))
        queries = [slice(first, first + 6) for first in range(0, 600, 6)]
        expected = [reference.ndcg_score([labels[rows]], [values[rows]], k=3) for rows in queries]
        assert metrics[arm]["ndcg"] == pytest.approx(np.mean(expected))
        assert metrics[arm]["r2"] == pytest.approx(reference.r2_score(labels, values))
        assert metrics[arm]["p90"] == pytest.approx(reference.mean_pinball_loss(labels, values, alpha=0.9))
    estimates = {row["arm"]: row["mean"] for row in report["analysis"]["arms"]}
    assert estimates == pytest.approx({arm: found["ndcg"] for arm, found in metrics.items()})
    assert {row["arm"]: row["decision"] for row in report["decisions"]} == {"better": "promote", "worse": "reject"}
    assert {row["segment"] for row in report["analysis"]["segments"]} == {"a", "b"}
    histograms = reader.read_table(store, reader.committed_files(store, run_id), "histograms").to_pylist()
    assert sum(row["num_rows"] for row in histograms if row["arm"] == "worse") == 600
    assert [histograms[0]["low"], histograms[19]["high"]] == [None, None]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"cluster": None},
            "plan.columns.cluster must name the dataset's cluster column, which identifies the queries",
        ),
        ({"cluster": None, "role": "segment"}, "plan.columns.cluster"),
        ({"role": "segment"}, "the dataset has no cluster column of that name"),
    ],
)
def test_a_ranking_needs_queries(place, more, words):
    with pytest.raises(InvalidInput, match=words):
        pipeline.prepare(str(ranked_experiment(place, **more)))


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"measure": "custom", "scorer": "own_code:certainly", "direction": "higher"}, "did you mean 'certainty'"),
        (
            {"measure": "custom", "scorer": "nowhere:f", "direction": "higher"},
            "metric 'm': scorer: module 'nowhere' does not exist",
        ),
        (
            {"measure": "custom", "scorer": "own_code:ranks", "direction": "higher"},
            "cannot be called with these arguments",
        ),
        (
            {
                "measure": "custom",
                "scorer": "own_code:certainty",
                "direction": "higher",
                "scorer_digest": "sha256:" + "0" * 64,
            },
            "the scorer's code does not have the pinned digest",
        ),
        (
            {"measure": "value_per_row", "values": {"no": {"no": 1, "yes": 0}, "yes": {"no": 0, "yes": 1}}},
            "must give values for exactly the classes of the label 'y'",
        ),
        (
            {"measure": "ndcg", "k": 3},
            "from which metric 'm' .ndcg. cannot be computed; return values from the variant, or remove",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_evaluated(place, metric, words):
    planned = suite({"name": "log_loss", "measure": "log_loss"}, {"name": "m", **metric}, direction="lower")
    with pytest.raises(InvalidInput, match=words):
        pipeline.prepare(str(builders.write_experiment(place, arms=ARMS, suite=planned)))


def test_a_plan_in_the_other_direction_is_told_the_metrics_own(place):
    planned = suite({"name": "log_loss", "measure": "log_loss"}, direction="higher")
    with pytest.raises(InvalidInput, match="has the direction lower; set 'direction: lower' in the plan"):
        pipeline.prepare(str(builders.write_experiment(place, arms=ARMS, suite=planned)))


def test_an_operating_point_that_the_control_cannot_reach_is_not_testable(place):
    planned = suite(
        {"name": "log_loss", "measure": "log_loss"},
        {"name": "f1", "measure": "f1", "operating_point": {"false_positive_rate": 0.0}},
        direction="lower",
        margins={"f1": 0.1},
    )
    arms = {"control": builders.variant(flip_every=5), "better": builders.variant()}  # the control is wrong at 0.9
    store, run_id = run(builders.write_experiment(place, arms=arms, suite=planned))
    rows = reader.read_table(store, reader.committed_files(store, run_id), "metrics").to_pylist()
    for row in rows:
        if row["metric"] == "f1":
            assert (row["value"], row["threshold"]) == (None, None)
            assert "the control has a false positive rate above 0 at every threshold" in row["not_testable"]
    report = document(store, run_id).plain()
    assert [row["decision"] for row in report["decisions"]] == ["hold"]
    assert "above 0 at every threshold" in json.dumps(report["analysis"]["guardrails"])
