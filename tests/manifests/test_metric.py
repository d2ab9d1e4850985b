import pytest
from pydantic import ValidationError

from assay.manifests import Metric

VALUES = {"0": {"0": 1.0, "1": -5.0}, "1": {"0": -20.0, "1": 10.0}}
POINT = {"false_positive_rate": 0.01}


def metric(measure, **parameters):
    return Metric.model_validate({"name": "m", "measure": measure, **parameters})


@pytest.mark.parametrize(
    ("measure", "parameters", "words"),
    [
        ("top_k_accuracy", {}, "needs 'k'"),
        ("top_k_accuracy", {"k": 1}, "use measure accuracy for k = 1"),
        ("ndcg", {}, "needs 'k'"),
        ("hit_rate", {}, "needs 'k'"),
        ("mrr", {"k": 3}, "mrr does not take k; only top_k_accuracy, ndcg, hit_rate can have it"),
        ("accuracy", {"k": 3}, "accuracy does not take k"),
        ("quantile_loss", {}, "needs 'quantile'"),
        ("mae", {"quantile": 0.5}, "mae does not take quantile"),
        ("quantile_loss", {"quantile": 1.0}, "less than 1"),
        ("log_loss", {"threshold": 0.5}, "log_loss does not take threshold; only accuracy, value_per_row, precision"),
        ("auroc", {"operating_point": POINT}, "auroc does not take operating_point"),
        (
            "f1",
            {"operating_point": POINT, "threshold": 0.5},
            "threshold and operating_point cannot be combined; remove one of them",
        ),
        ("f1", {"threshold": 1.5}, "less than or equal to 1"),
        ("value_per_row", {}, "needs 'values'"),
        ("accuracy", {"values": VALUES}, "accuracy does not take values"),
        ("value_per_row", {"values": {"0": {"0": 1.0}, "1": {"0": 1.0, "1": 2.0}}}, "label 0 needs a value"),
        ("value_per_row", {"values": {"0": {"0": 1.0}}}, "values needs at least two classes"),
        ("custom", {"direction": "higher"}, "needs 'scorer'"),
        ("custom", {"scorer": "own:score"}, "measure 'custom' needs 'direction: higher' or 'direction: lower'"),
        ("custom", {"scorer": "no function", "direction": "higher"}, "pattern"),
        ("accuracy", {"scorer": "own:score"}, "accuracy does not take scorer"),
        ("accuracy", {"direction": "lower"}, "accuracy is always 'higher'; remove 'direction'"),
        ("accuracy", {"scale": "continuous"}, "accuracy is always 'binary'; remove 'scale'"),
        ("custom", {"scorer": "own:score", "direction": "lower", "scale": "nominal"}, "'ordinal'"),
        ("correct", {}, "'accuracy'"),
        ("rmse", {"direction": "higher"}, "rmse is always 'lower'; remove 'direction'"),
    ],
)
def test_a_parameter_is_given_exactly_where_the_measure_takes_it(measure, parameters, words):
    with pytest.raises(ValidationError) as caught:
        metric(measure, **parameters)
    assert words in str(caught.value)


def test_a_direction_is_the_measures_own_where_it_has_one():
    assert metric("quantile_loss", quantile=0.9).direction == "lower"
    assert metric("ndcg", k=10).direction == "higher"
    assert metric("value_per_row", values=VALUES).direction == "higher"
    assert metric("value_per_row", values=VALUES, direction="lower").direction == "lower"  # costs
    assert metric("custom", scorer="own:score", direction="lower").direction == "lower"


def test_a_slot_scores_rows_unless_the_threshold_is_chosen_later():
    for measure, parameters in (("value_per_row", {"values": VALUES}), ("accuracy", {})):
        found = metric(measure, **parameters, threshold=0.2)
        assert (found.scores_rows, found.stores_probabilities) == (True, False)
        at_point = metric(measure, **parameters, operating_point=POINT)
        assert (at_point.scores_rows, at_point.stores_probabilities) == (False, True)


def test_classes_may_be_written_as_numbers():
    by_number = {int(label): {int(said): value for said, value in row.items()} for label, row in VALUES.items()}
    assert metric("value_per_row", values=by_number).digest() == metric("value_per_row", values=VALUES).digest()


def test_every_parameter_is_part_of_the_digest_and_survives_the_record():
    metrics = [
        metric("value_per_row", values=VALUES),
        metric("value_per_row", values=VALUES, threshold=0.3),
        metric("value_per_row", values=VALUES, operating_point=POINT),
        metric("value_per_row", values=VALUES, direction="lower"),
        metric("ndcg", k=3),
        metric("ndcg", k=4),
        metric("custom", scorer="own:score", direction="higher"),
        metric("custom", scorer="own:score", direction="higher", scorer_digest="sha256:" + "0" * 64),
    ]
    assert len({each.digest() for each in metrics}) == len(metrics)
    for each in metrics:
        assert Metric.model_validate_json(each.model_dump_json()) == each


@pytest.mark.parametrize(
    ("measure", "parameters", "scales"),
    [
        ("accuracy", {}, ["binary"]),
        ("log_loss", {}, ["continuous", "count", "ordinal"]),
        ("auroc", {}, ["continuous", "count", "ordinal"]),
        ("custom", {"scorer": "own:score", "direction": "higher"}, ["continuous", "count", "ordinal"]),
        ("custom", {"scorer": "own:score", "direction": "higher", "scale": "binary"}, ["binary"]),
        ("custom", {"scorer": "own:score", "direction": "higher", "scale": "ordinal"}, ["ordinal"]),
    ],
)
def test_a_plan_has_the_scale_of_its_metric(measure, parameters, scales):
    found = metric(measure, **parameters)
    assert [scale for scale in ("binary", "continuous", "count", "ordinal") if found.fits_scale(scale)] == scales


@pytest.mark.parametrize(
    ("measure", "parameters", "outputs"),
    [
        ("accuracy", {}, ["logits", "probabilities", "labels"]),
        ("accuracy", {"threshold": 0.5}, ["logits", "probabilities"]),
        ("log_loss", {}, ["logits", "probabilities"]),
        ("mae", {}, ["values"]),
        ("ndcg", {"k": 3}, ["values"]),
        ("custom", {"scorer": "own:score", "direction": "higher"}, ["logits", "probabilities", "labels", "values"]),
    ],
)
def test_a_measure_is_computed_from_the_outputs_that_contain_what_it_needs(measure, parameters, outputs):
    found = metric(measure, **parameters)
    assert [output for output in ("logits", "probabilities", "labels", "values") if found.accepts(output)] == outputs
