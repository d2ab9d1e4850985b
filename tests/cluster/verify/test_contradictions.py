"""Contradictions inside a committed run are found without scoring, even if every digest and size was made to fit."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from assay.cluster.cli import main
from assay.cluster.verify.contradictions import check_run, verify_deeply
from assay.evaluator import fingerprint, repeats
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import calibrations, version_log
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.ledger.stored_scores import from_stored
from assay.evaluator.storage import open_store
from assay.manifests.calibration import Calibration
from assay.manifests.ledger_layout import commit_key, run_key
from assay.manifests.run import Run
from tests.cluster.verify.conftest import run
from tests.cluster.verify.forger import Forger, another_value, where, with_column

COLUMNS = [(table, name) for table, schema in SCHEMAS.items() if table != "scores" for name in schema.names]
UNSEEN = {
    ("units", "write_s"),  # what only the driver knew
    ("units", "write_cpu_s"),
    ("decisions", "next_step"),  # commands that name where the ledger and the dataset were
    ("events", "at"),
    ("events", "unit"),
    *(("spending", name) for name in ("slot_s", "cpu_s", "gpu_s", "price")),  # idle time included
}
"""Columns that nothing else in the ledger determines. A kept seal of the log finds them, too."""
SAMPLE = [
    ("units", "scores_digest"),
    ("arms", "status"),
    ("arms", "price"),
    ("metrics", "value"),
    ("decisions", "decision"),
    ("events", "message"),
    ("spending", "budget_kept"),
    ("spending", "price"),
]
RECORDED_ALONE = {  # of a unit's receipt
    "nonce",
    "opened_files.variants_under_test.py",
    "conditions.determinism.num_interop_threads",
    "batch_sensitivity.num_rows",  # of another slot, if that measured a larger sensitivity
    "batch_sensitivity.num_flips",
}


CIRCUMSTANCES = (
    "opened_at",
    "dataset_",
    "label.",
    "experiment.dataset",
    "experiment.ledger",
    "experiment.arms.variant.weights",  # where they were; their digest is covered
    "experiment.arms.accelerator_type",
    *(
        f"experiment.{name}"
        for name in ("resources", "prices", "budget", "project", "packages", "require_clean", "store_patch")
    ),
)
"""Fields of a run's record that are not part of its digests, and `lineage.circumstance`. A kept seal covers them."""


def found(forger: Forger) -> dict[str, str]:
    return {each.key: each.problem for each in verify_deeply(open_store(str(forger.ledger))).problems}


def found_at_once(forger: Forger) -> dict[str, str]:
    """What the pass over digests finds."""
    return {each.key: each.problem for each in verify_ledger(open_store(str(forger.ledger))).problems}


def committed_run(forger: Forger) -> CommittedRun:
    return CommittedRun(open_store(str(forger.ledger)), forger.run_id)


def test_an_untouched_run_does_not_contradict_itself_wherever_it_is(forger):
    assert found(forger) == {}
    check_run(committed_run(forger))


@pytest.mark.parametrize(
    ("table", "name"), [pytest.param(*each, marks=() if each in SAMPLE else pytest.mark.extended) for each in COLUMNS]
)
def test_an_edited_column_of_a_table_is_named_unless_nothing_else_determines_it(forger, table, name):
    key = forger.edit_table(table, lambda rows: another_value(rows, name))
    named = found(forger)
    assert (key in named) == ((table, name) not in UNSEEN), named


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("status", "label_value", "plan_digest") else pytest.mark.extended)
        for name in SCHEMAS["scores"].names
    ],
)
def test_an_edited_column_of_scores_is_named(forger, name):
    key = forger.edit_unit(forger.unit_key("doubled", 1), lambda rows: another_value(rows, name))
    assert key in found(forger)


def leaves(value: Any, path: tuple = ()) -> list[tuple]:
    nested = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for name, each in nested for leaf in leaves(each, (*path, name))] if nested else [(path, value)]


def with_other(document: Any, path: tuple) -> None:
    *above, last = path
    for name in above:
        document = document[name]
    before = document[last]
    if isinstance(before, bool):
        document[last] = not before
    elif isinstance(before, int | float):
        document[last] = before + 1
    else:
        document[last] = f"{(before or 'x')[:-1]}{'0' if (before or 'x')[-1] != '0' else '1'}"


@pytest.mark.extended
def test_every_edited_field_of_a_receipt_is_found_unless_only_the_slot_knew_it(forger):
    key = forger.unit_key("doubled", 1)
    before = (forger.ledger / key).read_bytes()
    for path, _ in leaves(forger.receipt(key)):
        name = ".".join(map(str, path)).removeprefix("facts.")
        if name not in RECORDED_ALONE:
            forger.edit_unit(key, receipt=lambda document, path=path: with_other(document, path))
            assert found(forger), name
            (forger.ledger / key).write_bytes(before)


@pytest.mark.extended
def test_every_edited_field_of_a_run_record_is_found_unless_it_is_a_circumstance(forger):
    path = forger.ledger / run_key(forger.run_id)
    before = path.read_text()
    unseen = set()
    for place, _ in leaves(json.loads(before)):
        if place[:2] != ("lineage", "circumstance"):
            forger.edit_record(lambda document, place=place: with_other(document, place))
            if run_key(forger.run_id) not in found(forger):
                unseen.add(".".join(part for part in map(str, place) if not part.isdecimal()))
            path.write_text(before)
    assert {name for name in unseen if not name.startswith(CIRCUMSTANCES)} == set()


def swapped(forger: Forger, one: str, other: str) -> set[str]:
    first, second = forger.ledger / one, forger.ledger / other
    aside = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(aside)
    forger.refit()
    return {one, other}


def two_arms_swapped(forger: Forger) -> set[str]:
    for unit in (1, 2):
        swapped(forger, forger.unit_key("better", unit), forger.unit_key("worse", unit))
    return swapped(forger, forger.unit_key("better"), forger.unit_key("worse"))


def two_units_swapped(forger: Forger) -> set[str]:
    return swapped(forger, forger.unit_key("better", 0), forger.unit_key("better", 1))


def perfect_scores(forger: Forger) -> set[str]:
    """Every score is 1, and so says the receipt."""

    def perfect(rows: pa.Table) -> pa.Table:
        return with_column(rows, "scores", [[(name, 1.0) for name, _ in row] for row in rows["scores"].to_pylist()])

    return {consistent(forger, forger.unit_key("worse"), perfect)}


def other_labels(forger: Forger) -> set[str]:
    """The labels of one arm are its predictions; its receipt fits."""

    def relabelled(rows: pa.Table) -> pa.Table:
        predictions = rows["prediction_class"].to_pylist()
        rows = with_column(rows, "label_class", predictions)
        return with_column(rows, "label_value", [float(each) for each in predictions])

    return {consistent(forger, forger.unit_key("worse"), relabelled)}


def other_segments(forger: Forger) -> set[str]:
    """The rows of one arm belong to other segments; its receipt fits."""
    consistent(forger, forger.unit_key("worse"), lambda rows: another_value(rows, "segments"))
    return {commit_key(forger.run_id)}  # and in words: no arm's rows are more credible than another's


def consistent(forger: Forger, key: str, change: Callable[[pa.Table], pa.Table]) -> str:
    """Edits a unit whose receipt is computed again from its rows."""
    rows = from_stored(change(forger.read(key)))

    def refit(document: dict[str, Any]) -> None:
        document["scores_digest"] = fingerprint.rows_digest(rows)
        document["facts"]["score_sums"] = {name: total for name, (total,) in repeats.sums([rows]).items()}

    return forger.edit_unit(key, change, refit)


def analysis_of_the_other_arm(forger: Forger) -> set[str]:
    return {forger.edit_table("analyses", with_arms_swapped)}


def with_arms_swapped(rows: pa.Table) -> pa.Table:
    text = rows["analysis"][0].as_py()
    text = text.replace('"better"', '"aside"').replace('"worse"', '"better"').replace('"aside"', '"worse"')
    return with_column(rows, "analysis", [text])


def decisions_edited(forger: Forger) -> set[str]:
    def promoted(rows: pa.Table) -> pa.Table:
        values = rows["decision"].to_pylist()
        for place in where(rows, arm="worse"):
            values[place] = "promote"
        return with_column(rows, "decision", values)

    return {forger.edit_table("decisions", promoted)}


def row_added_to_metrics(forger: Forger) -> set[str]:
    return {forger.edit_table("metrics", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]))}


def a_decision_in_the_log(forger: Forger) -> set[str]:
    decision = {"arm": "worse", "decision": "promote", "reasons": ["why not"]}
    version_log.record_decisions(open_store(str(forger.ledger)), forger.run_id, [decision])
    return {"v2/log/000002.json"}


def a_calibration_of_another_plan(forger: Forger) -> set[str]:
    record = committed_run(forger).record
    calibration = Calibration(
        run_id=forger.run_id,
        commit_digest=committed_run(forger).commit.sha256,
        plan_digest=record.suite_digest,
        policy_digest=record.policy_digest,
        alpha=0.05,
        seed=0,
        num_permutations=1,
        arms=("control", "better"),
        left_out={},
        planted="better",
        rates=(),
        seal=record.plan_digest,
    )
    store = open_store(str(forger.ledger))
    calibrations.keep(store, calibration)
    return {*calibrations.keys(store)}


@pytest.mark.parametrize(
    "attack",
    [
        two_arms_swapped,
        two_units_swapped,
        perfect_scores,
        other_labels,
        other_segments,
        analysis_of_the_other_arm,
        decisions_edited,
        row_added_to_metrics,
        a_decision_in_the_log,
        a_calibration_of_another_plan,
    ],
)
def test_what_fits_every_digest_but_not_the_scores_is_named(forger, attack):
    expected = attack(forger)
    assert expected <= found(forger).keys()


def arm_dropped(forger: Forger) -> str:
    forger.unlist({forger.unit_key("better", unit) for unit in range(3)})
    return commit_key(forger.run_id)


def unit_twice(forger: Forger) -> str:
    key = forger.unit_key("better", 3)
    shutil.copy(forger.ledger / forger.unit_key("better", 0), forger.ledger / key)
    forger.list_also(key)
    return commit_key(forger.run_id)


def arm_added(forger: Forger) -> str:
    for unit in range(3):
        key = forger.unit_key("new", unit)
        (forger.ledger / key).parent.mkdir(exist_ok=True)
        shutil.copy(forger.ledger / forger.unit_key("better", unit), forger.ledger / key)
        forger.list_also(key)
    return commit_key(forger.run_id)


def plan_changed(forger: Forger) -> str:
    return with_other_experiment(forger, plan={"alpha": 0.2})


def policy_changed(forger: Forger) -> str:
    return with_other_experiment(forger, policy={"bootstrap": True})


def with_other_experiment(forger: Forger, **fields: dict[str, Any]) -> str:
    """The run's record with other fields of the suite's parts, and all digests computed again."""

    def change(document: dict[str, Any]) -> None:
        experiment = Run.model_validate_json(json.dumps(document)).experiment
        suite = experiment.suite
        parts = {name: getattr(suite, name).model_copy(update=update) for name, update in fields.items()}
        suite = suite.model_copy(update=parts)
        experiment = experiment.model_copy(update={"suite": suite})
        document |= {
            "experiment": experiment.model_dump(mode="json"),
            "experiment_digest": experiment.digest(),
            "suite_digest": suite.digest(),
            "plan_digest": suite.plan.digest(),
            "policy_digest": suite.policy.digest(),
        }

    return forger.edit_record(change)


def dataset_changed(forger: Forger) -> str:
    return forger.edit_record(lambda record: record.update(dataset_digest=f"sha256:{'0' * 64}"))


def supersedes_itself(forger: Forger) -> str:
    return forger.edit_record(lambda record: record.update(supersedes=forger.run_id))


@pytest.mark.parametrize(
    "attack",
    [arm_dropped, unit_twice, arm_added, plan_changed, policy_changed, dataset_changed, supersedes_itself],
)
def test_what_contradicts_the_record_or_the_arms_is_named_without_reading_rows(forger, attack):
    assert attack(forger) in found_at_once(forger)


@pytest.mark.parametrize("attack", [plan_changed, policy_changed, dataset_changed, supersedes_itself])
def test_nothing_is_answered_from_a_record_that_contradicts_itself(forger, attack):
    key = attack(forger)
    with pytest.raises(DamageError, match=key):
        assert committed_run(forger).record


def test_the_gate_promotes_nothing_from_an_edited_analysis(forger):
    assert CliRunner().invoke(main.app, ["gate", forger.run_id, "--ledger", str(forger.ledger)]).exit_code == 0
    key = analysis_of_the_other_arm(forger).pop()
    answer = CliRunner().invoke(main.app, ["gate", forger.run_id, "--ledger", str(forger.ledger)])
    assert isinstance(answer.exception, DamageError)
    assert f"run '{forger.run_id}' contradicts itself" in str(answer.exception)
    assert key in str(answer.exception)


def test_a_reused_unit_has_the_scores_and_the_key_of_the_unit_that_it_was_copied_from(committed, forger):
    folder, first = committed[0].parent, forger.run_id
    second = run(folder, name="again", ledger=str(forger.ledger))
    assert found(forger) == {}
    rows = committed_run(Forger(forger.ledger, second)).rows("units")
    assert {row["reused_from"].split("/")[2] for row in rows} == {first}
    perfect_scores(forger)
    named = found(forger)
    assert forger.unit_key("worse") in named
    assert Forger(forger.ledger, second).key("units") in named
    (forger.ledger / forger.unit_key("better")).unlink()
    assert f"run '{second}' has reused it" in found(forger)[forger.unit_key("better")]
