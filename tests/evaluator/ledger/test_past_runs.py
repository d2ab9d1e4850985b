"""The index of runs saves reads, and changes no answer: it is ignored if it is missing, damaged, stale or foreign."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from assay.cluster import pipeline
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.storage import Store, open_store
from assay.manifests.ledger_layout import INDEX_KEY, commit_key, progress_key, run_key
from assay.manifests.spent import Spent
from tests import builders
from tests.counting_store import CountingStore

OTHER = {"better": builders.variant(flip_every=9)}
ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}


def committed(folder: Path, *, name: str, arms: dict[str, dict] | None = None) -> pipeline.Prepared:
    path = builders.write_experiment(folder, arms=arms or ARMS, num_rows=64, name=name, project="vision")
    prepared = pipeline.prepare(str(path))
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
    return prepared


def known(past: PastRuns) -> list[tuple]:
    """Everything that can be asked about past runs, which are all logged."""
    assert past.log_commits() == ()
    return [
        (
            run,
            past.is_committed(run.run_id),
            past.spent(run.run_id),
            past.arms(run.run_id),
            [past.first_unit(run.run_id, arm) for arm in run.keys],
        )
        for run in past
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A ledger with three runs."""
    folder = tmp_path_factory.mktemp("three")
    for name in ("first", "second", "third"):
        committed(folder, name=name)
    return folder / "ledger"


@pytest.fixture
def ledger(template, tmp_path) -> Path:
    """A copy of that ledger, in whose index is all that can be asked."""
    shutil.copytree(template, tmp_path / "ledger")
    past = PastRuns(open_store(str(tmp_path / "ledger")))
    known(past)
    past.keep()
    return tmp_path / "ledger"


def index_of(ledger: Path) -> Path:
    return ledger / "v2/index/runs.json.gz"


def edited(content: bytes, edit) -> bytes:
    entries = json.loads(gzip.decompress(content))
    return gzip.compress(json.dumps(edit(entries) or entries).encode())


def of_another_ledger(entries):
    """Runs of the same names, whose records have the same sizes and say something else."""
    for entry in entries.values():
        entry["sha256"] = f"sha256:{'0' * 64}"
        entry["run"]["keys"] = dict.fromkeys(entry["run"]["keys"], "sha256:other")
        entry["run"]["base_digests"] = {}


def of_another_size(entries):
    first = next(iter(entries.values()))
    first["record_bytes"] += 1
    first["run"]["keys"] = {}


def of_another_release(entries):
    for entry in entries.values():
        del entry["run"]["repeats"]


def before_the_commits(entries):
    for entry in entries.values():
        entry.update(commit_bytes=0, spent={"price": 1e9}, arms=[], first_units={})


UNUSABLE = {
    "missing": None,
    "empty": lambda content: b"",
    "cut short": lambda content: content[:-100],
    "a changed byte": lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    "no JSON": lambda content: gzip.compress(b"\xff"),
    "a list": lambda content: gzip.compress(b"[]"),
    "without runs": lambda content: gzip.compress(b"{}"),
    "stale": lambda content: edited(content, lambda entries: dict(list(entries.items())[:1])),
    "of another ledger": lambda content: edited(content, of_another_ledger),
    "of another size": lambda content: edited(content, of_another_size),
    "of another release": lambda content: edited(content, of_another_release),
    "before the commits": lambda content: edited(content, before_the_commits),
}


@pytest.mark.parametrize("change", UNUSABLE.values(), ids=UNUSABLE)
def test_an_index_that_cannot_be_used_changes_no_answer_and_is_written_again(ledger, change):
    index, store = index_of(ledger), open_store(str(ledger))
    intact = index.read_bytes()
    expected = known(PastRuns(store))
    assert len(expected) == 3
    index.unlink()
    assert known(PastRuns(store)) == expected
    if change is not None:
        index.write_bytes(change(intact))
    past = PastRuns(store)
    assert known(past) == expected
    past.keep()
    assert index.read_bytes() == intact


def test_once_kept_no_record_is_read_but_the_one_that_shows_whose_index_it_is(ledger):
    store = CountingStore(open_store(str(ledger)))
    index_of(ledger).unlink()
    PastRuns(store).keep()
    store.whole.clear()
    last = max(run.run_id for run in PastRuns(store))
    assert store.whole == {INDEX_KEY: 1, run_key(last): 1}
    assert store.parts == {}


def test_a_record_under_another_name_is_set_aside(ledger):
    store = open_store(str(ledger))
    renamed, *others = known(PastRuns(store))
    Path(ledger, run_key(renamed[0].run_id)).rename(Path(ledger, run_key("renamed")))
    assert known(PastRuns(store)) == others


def test_a_run_that_is_gone_is_not_known(ledger):
    store = open_store(str(ledger))
    gone = PastRuns(store)[1].run_id
    Path(ledger, run_key(gone)).unlink()
    assert gone not in {run.run_id for run in PastRuns(store)}
    assert len(PastRuns(store)) == 2


def test_what_may_still_change_is_not_kept(ledger):
    store = open_store(str(ledger))
    run_id = PastRuns(store)[0].run_id
    progress = reader.recorded_progress(store, run_id)
    assert progress is not None
    Path(ledger, commit_key(run_id)).unlink()  # as if its driver were still at work

    def kept() -> PastRuns:
        past = PastRuns(store)
        past.spent(run_id)
        past.first_unit(run_id, "control")
        past.keep()
        return PastRuns(store)

    kept()
    more = progress.model_copy(update={"spent": Spent(price=7.0)})
    store.replace(progress_key(run_id), more.model_dump_json().encode())
    shutil.rmtree(ledger / f"v2/data/scores/{run_id}/control")
    assert kept().spent(run_id) == Spent(price=7.0)
    assert kept().first_unit(run_id, "control") is None


def test_of_two_writers_the_last_one_wins_and_nothing_is_lost(template, tmp_path):
    shutil.copytree(template, tmp_path / "ledger")
    store = open_store(str(tmp_path / "ledger"))
    index_of(tmp_path / "ledger").unlink()
    one, other = PastRuns(store), PastRuns(store)
    expected = known(one)
    other.arms(other[0].run_id)
    for first, last in ((one, other), (other, one)):
        first.keep()
        last.keep()
        assert known(PastRuns(store)) == expected
    assert verify_ledger(store).problems == ()


def swapped(entries):
    """The control's units as those of the challenger, and the other way round."""
    for entry in entries.values():
        keys = entry["run"]["keys"]
        keys["control"], keys["better"] = keys["better"], keys["control"]


def scores(store: Store, run_id: str) -> list[str]:
    files = reader.committed_files(store, run_id)
    return reader.read_table(store, files, "arms", ["scores_digest"])["scores_digest"].to_pylist()


def damage_record(ledger: Path, run_id: str) -> None:
    Path(ledger, run_key(run_id)).write_bytes(b"?" * Path(ledger, run_key(run_id)).stat().st_size)


def swap_arms_in_index(ledger: Path, run_id: str) -> None:
    index_of(ledger).write_bytes(edited(index_of(ledger).read_bytes(), swapped))


SWAPPED = {"better": ARMS["control"], "control": ARMS["better"]}


@pytest.mark.parametrize(("change", "arms"), [(damage_record, ARMS), (swap_arms_in_index, SWAPPED)])
def test_units_are_not_reused_by_an_index_that_contradicts_the_record(tmp_path, change, arms):
    first = committed(tmp_path, name="first")
    for name, flip_every in (("second", 3), ("third", 4)):
        committed(tmp_path, name=name, arms={"control": builders.variant(flip_every=flip_every)} | OTHER)
    change(tmp_path / "ledger", first.run.run_id)
    again = committed(tmp_path, name="fourth", arms=arms)
    store = again.store
    assert scores(store, again.run.run_id) == scores(store, first.run.run_id)
    events = reader.read_table(store, reader.committed_files(store, again.run.run_id), "events").to_pylist()
    assert f"the index contradicts the record; units of run '{first.run.run_id}' are not reused" in {
        event["message"] for event in events
    }


def other_arms(entries):
    for entry in entries.values():
        entry["arms"] = []


def other_files(entries):
    for entry in entries.values():
        entry["first_units"]["better"]["opened_files"] = {"lookup.json": "sha256:0"}


@pytest.mark.parametrize("edit", [swapped, other_arms, other_files])
def test_verification_names_an_index_that_contradicts_the_ledger(ledger, edit):
    store, index = open_store(str(ledger)), index_of(ledger)
    assert verify_ledger(store).problems == ()
    index.write_bytes(edited(index.read_bytes(), edit))
    problems = verify_ledger(store).problems
    assert {each.key for each in problems} == {"v2/index/runs.json.gz"}
    assert len(problems) == 3
    assert problems[0].problem == (
        f"contradicts the files of run '{PastRuns(store)[0].run_id}'; it is not evidence: delete it, and the next run "
        "writes it again"
    )
    index.unlink()
    assert verify_ledger(store).problems == ()


def test_verification_names_an_index_that_cannot_be_read(ledger):
    index_of(ledger).write_bytes(b"no gzip")
    (problem,) = verify_ledger(open_store(str(ledger))).problems
    assert problem.problem.startswith("cannot be read (Not a gzipped file")
    assert problem.problem.endswith("delete it, and the next run writes it again")
