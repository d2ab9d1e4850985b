"""Costs of arms come from their units' times, what slots reserve and the prices; they do not affect scores."""

import json

import pytest
from rich.console import Console

from assay.cluster import pipeline
from assay.cluster.cost import arm_cost
from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.errors import RunError
from assay.cluster.report.record import document
from assay.cluster.report.terminal import verdict
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.receipt import ReuseSource, UnitReceipt
from assay.manifests import Prices
from assay.manifests.analysis import Analysis
from assay.manifests.run_report import RunReport
from assay.manifests.spent import Spent
from assay.stats.comparisons import degenerate
from tests import builders, receipts
from tests.receipts import attempt, conditions

NUM_UNITS = 7  # 200 rows in units of 32
PRICES = {"cpu_hour": 36.0}
RESOURCES = {"num_cpus": 2.0}


def run(folder, **fields) -> dict:
    prepared = pipeline.prepare(str(builders.write_experiment(folder, **fields)))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return document(prepared.store, prepared.run.run_id).plain()


def units(report) -> list[dict]:
    store = pipeline.open_store(report["ledger"])
    return reader.read_table(store, reader.committed_files(store, report["run_id"]), "units").to_pylist()


def by_arm(report) -> dict[str, dict]:
    return {row["arm"]: row for row in report["arms"]}


def receipt(unit, reuse=None, **times) -> UnitReceipt:
    slot = conditions(num_cpus=8.0, num_gpus=0.5, accelerator_type="H100")
    return receipts.receipt("a", unit, conditions=slot, reuse=reuse, attempt=None if reuse else attempt(**times))


def test_an_arm_costs_the_seconds_of_its_units_times_what_a_slot_holds():
    prices = Prices(cpu_hour=0.9, gpu_hour=100.0, gpu_hour_by_type={"H100": 7.2})
    found = arm_cost.arm_cost(
        [
            receipt(0, load_s=20.0, probe_s=1.0, read_s=2.0, predict_s=6.0, score_s=1.0, timing_s=70.0, cpu_s=6.0),
            receipt(1, read_s=1.0, predict_s=8.0, score_s=1.0, write_s=50.0, fetch_s=99.0, bytes_fetched=1000),
            receipt(2, reuse=ReuseSource("data/scores/r/a/u.parquet", 100.0)),
        ],
        prices,
    )
    # By hand: 40 s of a slot with 8 cores and half an H100: 320 core-seconds at 0.00025 and 20 GPU-seconds at 0.002.
    assert found == {
        "slot_s": 40.0,
        "cpu_s": 320.0,
        "gpu_s": 20.0,
        "price": pytest.approx(0.08 + 0.04),
        "one_off_slot_s": 21.0,
        "one_off_cpu_s": 168.0,
        "one_off_gpu_s": 10.5,
        "one_off_price": pytest.approx(0.042 + 0.021),
        "reused_slot_s": 100.0,
        "reused_cpu_s": 800.0,
        "reused_gpu_s": 50.0,
        "reused_price": pytest.approx(0.2 + 0.1),
        "cpu_used_s": 6.0,
        "bytes_fetched": 1000,
        "num_rows_evaluated": 64,
    }


@pytest.mark.parametrize(
    ("direction", "estimate", "price", "expected"),
    [
        ("higher", 0.04, 6.0, (3.0, 4.0, 1.5)),
        ("higher", -0.04, 6.0, (3.0, -4.0, None)),
        ("lower", -0.04, 6.0, (3.0, 4.0, 1.5)),
        ("higher", 0.0, 6.0, (3.0, 0.0, None)),
        ("higher", None, 6.0, (3.0, None, None)),  # not testable
        ("higher", 0.04, 0.0, (0.0, 4.0, 0.0)),
    ],
)
def test_cost_stands_beside_the_controls_and_per_point(direction, estimate, price, expected):
    def arm(name, here, reused=0.0):
        amounts = {"price": here + 7, "one_off_price": 7.0, "reused_price": reused}
        amounts |= {"slot_s": 50.0, "one_off_slot_s": 0.0, "reused_slot_s": 0.0}
        return {"arm": name, "status": "complete", **amounts}

    arms = [arm("control", 0.5, reused=1.5), arm("a", price)]  # the control was reused in part: it costs 2
    compared = degenerate.untestable("a", "control", method="max_t", reason="by hand", estimate=estimate)
    analysis = Analysis.model_construct(control="control", direction=direction, comparisons=(compared,))
    found = arm_cost.run_cost(arms, analysis, spent=Spent())
    assert found.quantity == "price"
    control, row = found.arms
    assert (control.cost, control.ratio_to_control, control.cost_per_point) == (2.0, 1.0, None)
    assert (row.ratio_to_control, row.points, row.cost_per_point) == pytest.approx(expected)


def test_a_run_records_what_each_arm_and_all_its_slots_have_cost(tmp_path):
    report = run(tmp_path, resources=RESOURCES, prices=PRICES)
    rows = units(report)
    for name, arm in by_arm(report).items():
        of_arm = [row for row in rows if row["arm"] == name]
        took_s = sum(row[part] for row in of_arm for part in ("load_s", "probe_s", "read_s", "predict_s", "score_s"))
        assert arm["slot_s"] == pytest.approx(took_s)
        assert arm["cpu_s"] == pytest.approx(2 * took_s)
        assert arm["price"] == pytest.approx(2 * took_s / 100)  # 36 per hour is 0.01 per second
        assert (arm["gpu_s"], arm["reused_slot_s"], arm["num_rows_evaluated"]) == (0, 0, 200)
        assert arm["cpu_used_s"] == pytest.approx(
            sum(row["load_cpu_s"] + row["cpu_s"] + row["write_cpu_s"] for row in of_arm)
        )
        # The first unit includes the time for loading and probing.
        assert [row["probe_s"] > 0 for row in of_arm] == [True] + [False] * (NUM_UNITS - 1)
        assert [row["load_cpu_s"] > 0 for row in of_arm] == [True] + [False] * (NUM_UNITS - 1)
    cost = report["cost"]
    assert cost["quantity"] == "price"
    assert cost["spent"]["slot_s"] > sum(arm["slot_s"] for arm in report["arms"])
    assert cost["spent"]["price"] == pytest.approx(cost["spent"]["slot_s"] * 2 / 100)
    better = next(row for row in cost["arms"] if row["arm"] == "better")
    labels_missed = [row for row in report["analysis"]["comparisons"] if row["arm"] == "better"]
    assert better["cost_per_point"] == pytest.approx(better["cost"] / (100 * labels_missed[0]["estimate"]))
    console = Console(record=True, width=100)
    verdict.show(RunReport.model_validate_json(json.dumps(report)), console)
    assert "per point" in console.export_text()


def test_without_prices_slot_seconds_are_compared_and_no_score_changes(tmp_path):
    priced = run(tmp_path / "priced", prices=PRICES)
    free = run(tmp_path / "free")
    assert free["cost"]["quantity"] == "slot_s"
    assert {arm["price"] for arm in free["arms"]} == {0.0}
    assert free["scores_digest"] == priced["scores_digest"]
    assert free["analysis"] == priced["analysis"]


def test_units_of_another_run_cost_nothing_here_and_name_what_they_had_cost(tmp_path):
    arms = {name: builders.ARMS[name] for name in ("control", "better")}
    first = by_arm(run(tmp_path, arms=arms, resources=RESOURCES, prices=PRICES))
    report = run(tmp_path, resources=RESOURCES, prices=PRICES)
    arm = by_arm(report)["better"]
    assert {arm[name] for name in ("slot_s", "cpu_s", "gpu_s", "price", "cpu_used_s")} == {0}
    had_cost_s = first["better"]["slot_s"] - first["better"]["one_off_slot_s"]
    assert arm["reused_slot_s"] == pytest.approx(had_cost_s)
    assert arm["reused_price"] == pytest.approx(2 * had_cost_s / 100)
    compared = {row["arm"]: row for row in report["cost"]["arms"]}
    assert compared["better"]["cost"] == arm["reused_price"]
    assert compared["better"]["ratio_to_control"] > 0


def test_an_arm_that_failed_has_cost_what_its_units_did(tmp_path):
    arms = {**builders.ARMS, "broken": builders.variant("raises", above=0.99)}
    report = run(tmp_path, arms=arms, resources={"max_attempts": 1})
    arm = by_arm(report)["broken"]
    assert arm["status"] == "failed"
    assert arm["num_units_done"] == 0 or arm["slot_s"] > 0
    compared = {row["arm"]: row for row in report["cost"]["arms"]}["broken"]
    assert (compared["ratio_to_control"], compared["cost_per_point"]) == (None, None)


@pytest.mark.parametrize("arm", ["better", "control"])
def test_an_arm_whose_slots_disagree_on_the_batch_size_fails_alone(tmp_path, monkeypatch, arm):
    probe, turns = ArmScorer.probe, iter([False, True] * 99)

    def on_two_hosts(self, **options):
        """Simulates that every other unit runs on a host on which scores depend on the batch size."""
        found = probe(self, **options)
        if self.arm != arm or not next(turns):
            return found
        return type(found)(num_rows=found.num_rows, num_flips=1, max_abs_difference=1.0, noise_floor=0.5)

    monkeypatch.setattr(ArmScorer, "probe", on_two_hosts)
    suite = {**builders.SUITE, "on_batch_sensitivity": "batch_size_1"}
    if arm == "control":
        with pytest.raises(RunError, match=r"the control 'control' could not be measured.*1 on .*32 on"):
            run(tmp_path, suite=suite)
        return
    report = run(tmp_path, suite=suite)
    status = {row["arm"]: row["status"] for row in report["arms"]}
    assert status == {"control": "complete", "better": "failed", "worse": "complete", "again": "complete"}
    assert "different batch sizes (1 on " in by_arm(report)["better"]["reason"]
    assert [(event["kind"], event["arm"]) for event in report["events"]] == [("arm_failed", "better")]
    assert {row["arm"]: row["decision"] for row in report["decisions"]}["better"] == "hold"
