"""A project's budget bounds all its runs in a ledger together; their costs are what their drivers recorded."""

import pytest

from assay.cluster import pipeline
from assay.cluster.cost import projects
from assay.cluster.cost.budget import BudgetCheck
from assay.cluster.drive import driver, progress
from assay.cluster.errors import StoppedError
from assay.cluster.report.record import document
from assay.evaluator.ledger import writer
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests import Budget
from assay.manifests.ledger_layout import progress_key
from assay.manifests.progress import Progress
from assay.manifests.spent import Spent
from tests import builders

PRICES = {"cpu_hour": 3600.0}  # 1 per second
TWO = {name: builders.ARMS[name] for name in ("control", "better")}
SLOW = {name: builders.variant(delay_s=0.02, flip_every=5) for name in ("control", "a", "b", "c")}


@pytest.fixture(autouse=True)
def always_looks(monkeypatch) -> None:
    monkeypatch.setattr(driver, "_TICK_S", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)


def prepared(folder, name, arms=TWO, **fields) -> pipeline.Prepared:
    path = builders.write_experiment(folder, arms=arms, prices=PRICES, name=name, **fields)
    return pipeline.prepare(str(path))


def run(folder, name, arms=TWO, **fields) -> dict:
    ready = prepared(folder, name, arms, **fields)
    pipeline.run(ready, in_process=True, on_progress=lambda arm, units: None, reuses=False)
    return document(ready.store, ready.run.run_id).plain()


def told(ready) -> Progress:
    return Progress.model_validate_json(ready.store.get(progress_key(ready.run.run_id)).to_pybytes())


def test_what_other_runs_of_the_project_have_cost_bounds_a_run(tmp_path):
    assert {arm["status"] for arm in run(tmp_path, "elsewhere", SLOW, project="other")["arms"]} == {"complete"}
    stopped = prepared(tmp_path, "first", SLOW, project="vision", budget={"price": 0.4})
    with pytest.raises(StoppedError, match=r"budget.price is 0.4"):
        pipeline.run(stopped, in_process=True, on_progress=lambda arm, units: None, reuses=False)
    first = told(stopped).spent.price
    assert first >= 0.4  # of a stopped run, whether or not it was committed

    budget = first + 0.6
    project = {"project": "vision", "project_budget": {"price": budget, "warn_at": 1.0}}
    second = prepared(tmp_path, "second", SLOW, **project)
    with pytest.raises(StoppedError, match=r"budget of project 'vision' exhausted: project_budget.price is "):
        pipeline.run(second, in_process=True, on_progress=lambda arm, units: None, reuses=False)
    assert 0.6 <= told(second).spent.price < budget  # what the first left, and the unit that was in flight

    num_records = len(list((tmp_path / "ledger/v2/runs").iterdir()))
    with pytest.raises(StoppedError, match=r"nothing was started: budget of project 'vision' exhausted"):
        run(tmp_path, "third", **project)
    assert len(list((tmp_path / "ledger/v2/runs").iterdir())) == num_records
    other = prepared(tmp_path, "third", project="nlp", project_budget={"price": 1.0})
    assert projects.spent_elsewhere(other.run, PastRuns(other.store)) == Spent()


def test_a_soft_bound_stands_in_the_report(tmp_path):
    run(tmp_path, "first", project="vision")
    report = run(tmp_path, "second", project="vision", project_budget={"price": 100.0, "warn_at": 1e-6})
    (event,) = [event for event in report["events"] if event["kind"] == "budget"]
    assert " % of the budget of project 'vision' is spent: project_budget.price is 100, spent " in event["message"]
    assert "project_budget.price is 100" in event["message"]
    quiet = run(tmp_path, "third", project="vision", project_budget={"price": 100.0})
    assert quiet["events"] == []


def test_a_run_that_repeats_another_counts_once(tmp_path):
    ready = prepared(tmp_path, "mine", project="vision")
    store = MemoryStore("p")

    def open_run(run_id, *, price, supersedes=None, project="vision") -> None:
        if price is not None:
            record = told_of.model_copy(update={"run_id": run_id, "spent": Spent(price=price)})
            store.replace(progress_key(run_id), record.model_dump_json().encode())
        experiment = ready.run.experiment.model_copy(update={"project": project})
        writer.open_run(
            store,
            ready.run.model_copy(update={"run_id": run_id, "supersedes": supersedes, "experiment": experiment}),
        )

    reporter = progress.ProgressReporter(ready.run, num_units=1, num_rows=1, store=store, submission_id="")
    told_of = reporter.progress("running", "")
    open_run("a", price=1.0)
    open_run("a.2", price=3.0, supersedes="a")  # has recorded the cost of both
    open_run("b", price=10.0)
    open_run("b.2", price=None, supersedes="b")  # has recorded nothing yet
    open_run("c", price=100.0, project="other")
    open_run("d", price=None)
    open_run("e.2", price=None, supersedes="e")  # whose record is gone
    open_run(ready.run.run_id, price=1000.0)  # the run itself knows what it has cost
    assert projects.spent_elsewhere(ready.run, PastRuns(store)).price == 13.0
    again = ready.run.model_copy(update={"run_id": "a.3", "supersedes": "a.2"})
    assert projects.spent_elsewhere(again, PastRuns(store)).price == 1010.0


def test_both_budgets_bound_and_each_says_which():
    both = BudgetCheck(Budget(price=5.0), "p", Budget(gpu_hours=2.0, warn_at=0.5), elsewhere=Spent(gpu_s=3600.0))
    assert both.exceeded(Spent(price=4.9, gpu_s=3599.0)) == ""
    assert both.exceeded(Spent(price=5.0)).startswith("budget exhausted: budget.price is 5, spent 5")
    assert both.exceeded(Spent(gpu_s=3600.0)).startswith("budget of project 'p' exhausted: project_budget.gpu_hours")
    assert list(both.warnings(Spent(price=3.9))) == ["project_budget.gpu_hours"]
    assert list(both.warnings(Spent(price=4.0))) == ["budget.price", "project_budget.gpu_hours"]
    assert BudgetCheck().exceeded(Spent(price=1e9)) == ""


def test_records_say_what_others_ask_of_them(tmp_path):
    report = run(tmp_path, "first", project="vision")
    (found,) = PastRuns(pipeline.open_store(report["ledger"]))
    assert (found.project, found.has_gpus, found.supersedes) == ("vision", False, None)
    assert found.entrypoints == dict.fromkeys(TWO, "variants_under_test:threshold")
