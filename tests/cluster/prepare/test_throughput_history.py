"""How long arms took in earlier runs affects the order in which they start, and nothing else."""

from assay.cluster import pipeline
from assay.cluster.prepare import throughput_history
from assay.cluster.prepare.throughput_history import Pace
from assay.cluster.report.record import document
from assay.evaluator.ledger.past_runs import PastRuns
from tests import builders

SLOW = builders.variant(flip_every=2, delay_s=0.03)
FAST = builders.variant(flip_every=3)
LARGE = {"small": 10, "large": 1000, "none": 0}


def run(folder, *, begun=None, **fields):
    prepared = pipeline.prepare(str(builders.write_experiment(folder, **fields)))

    def note(arm, num_units):
        if begun is not None and arm not in begun:
            begun.append(arm)

    pipeline.run(prepared, in_process=True, on_progress=note, reuses=False)
    return document(prepared.store, prepared.run.run_id).plain()


def known(**seconds) -> dict[str, Pace]:
    return {arm: Pace(each, 0.0, "") for arm, each in seconds.items()}


def test_the_cheapest_come_first_and_what_is_equal_stays_as_given():
    arms = ["large", "small", "none"]
    of_all = known(large=1.0, small=3.0, none=2.0)
    assert throughput_history.cheapest_first(arms, paces=of_all, weights_bytes=LARGE) == ["large", "none", "small"]
    del of_all["none"]  # seconds of some arms cannot be compared with bytes of others
    assert throughput_history.cheapest_first(arms, paces=of_all, weights_bytes=LARGE) == ["none", "small", "large"]
    assert throughput_history.cheapest_first(arms, paces={}, weights_bytes=dict.fromkeys(arms, 5)) == arms


def test_a_run_begins_with_what_was_cheap_before_and_its_numbers_are_the_same(tmp_path):
    arms = {"slow": SLOW, "fast": FAST, "control": builders.variant(flip_every=5, delay_s=0.01)}
    first = run(tmp_path, arms=arms)
    begun: list[str] = []
    again = run(tmp_path, arms=arms, name="again", begun=begun)
    assert begun == ["control", "fast", "slow"]
    assert again["scores_digest"] == first["scores_digest"]
    assert [row["arm"] for row in again["arms"]] == list(arms)
    assert {**again["analysis"]} == {**first["analysis"]}


def test_the_same_variant_is_known_best_then_the_same_code_then_nothing(tmp_path):
    first = run(tmp_path, arms={"control": builders.variant(flip_every=5, delay_s=0.02), "fast": FAST})
    asked = {
        "control": builders.variant(flip_every=5, delay_s=0.02),
        "renamed": FAST,
        "alike": builders.variant(flip_every=9),
        "unknown": builders.variant("mixing"),
    }
    prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=asked)))
    found = throughput_history.paces(prepared.run, PastRuns(prepared.store))
    assert set(found) == {"control", "renamed", "alike"}
    # a batch of 32 rows sleeps 0.02 s
    assert 0.02 / 32 < found["control"].seconds_per_row < 0.1
    assert found["renamed"].seconds_per_row < found["control"].seconds_per_row
    assert found["control"].source == f"run {first['run_id']} on cpu"
    assert found["alike"].source.endswith("another variant with the same entrypoint")
    with_gpus = prepared.run.experiment.model_copy(
        update={"resources": prepared.run.experiment.resources.model_copy(update={"num_gpus": 1.0})}
    )
    other_device = prepared.run.model_copy(update={"experiment": with_gpus})
    assert throughput_history.paces(other_device, PastRuns(prepared.store)) == {}
