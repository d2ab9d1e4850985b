"""Every file of a committed ledger, damaged in six ways, is named; whoever reads it answers rightly or with our error."""

import random
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from assay.cluster.commit import gate_calibration, gate_review
from assay.cluster.commit.analysis import reanalysed
from assay.cluster.report.record import document
from assay.cluster.verify.contradictions import check_run, verify_deeply
from assay.evaluator.ledger import calibrations, reader, trace, version_log, writer
from assay.evaluator.ledger.append_only_table import AppendOnlyTable
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import Store, open_store
from assay.manifests.errors import AssayError
from tests import damage
from tests.cluster.verify.conftest import run
from tests.seaweed import BUCKET

NOT_EVIDENCE = ("/progress/", "/index/", "/submissions/")


@pytest.fixture(scope="module")
def furnished(committed, tmp_path_factory) -> tuple[Path, str]:
    """A ledger with a file of every kind, and with two of most kinds: two runs, of which the second reuses the first."""
    ledger, run_id = tmp_path_factory.mktemp("furnished") / "ledger", committed[1]
    shutil.copytree(committed[0], ledger)
    other = run(committed[0].parent, name="again", ledger=str(ledger))
    store = open_store(str(ledger))
    for each in (run_id, other):
        of_run = CommittedRun(store, each)
        version_log.record_decisions(store, each, of_run.rows("decisions"))
        gate_calibration.calibrate(of_run, num_permutations=1, seed=0)
    table = AppendOnlyTable("outcomes", pa.schema([pa.field("x", pa.int64(), nullable=False)]))
    for number in (1, 2):
        table.append(store, pa.Table.from_pylist([{"x": number}], schema=table.schema), part=f"p{number}")
        writer.keep_patch(store, f"patch {number}".encode())
    assert verify_deeply(store).problems == ()
    return ledger, run_id


def kinds(store: Store) -> dict[str, list[str]]:
    """The keys of the ledger's files by kind."""
    by_kind: dict[str, list[str]] = {}
    for stored in store.listing("v2/"):
        parts = stored.key.split("/")
        by_kind.setdefault("/".join(parts[1:3]) if parts[1] == "data" else parts[1], []).append(stored.key)
    return by_kind


def readers(run_id: str) -> dict[str, Callable[[Store], object]]:
    """Everything that reads a committed run."""

    def plan_of(store: Store) -> object:
        committed = CommittedRun(store, run_id)
        return reanalysed(committed, committed.record.experiment.suite.plan.model_copy(update={"alpha": 0.1}))

    return {
        "report": lambda store: document(store, run_id),
        "trace": lambda store: trace.number(store, run_id, "better", "accuracy"),
        "lineage": lambda store: trace.run_lineage(store, run_id),
        "gate": lambda store: gate_review.review_run(CommittedRun(store, run_id)),
        "check": lambda store: check_run(CommittedRun(store, run_id)),
        "analyze": plan_of,
        "calibration": lambda store: calibrations.find(store, run_id, seed=0, num_permutations=1),
        "log": version_log.entries,
        "list": reader.runs,
    }


def answers_of(store: Store, run_id: str) -> dict[str, object]:
    return {name: read(store) for name, read in readers(run_id).items()}


def check_damaged(
    store: Store, run_id: str, keys: list[str], way: str, *, generator: random.Random, answers: dict[str, object]
) -> None:
    """Damages one file, and checks that it is named and that every reader answers as before or with our error."""
    own = [key for key in keys if run_id in key] or keys
    key = generator.choice(own)
    others = [each for each in keys if each != key]
    if way == "copied" and not others:
        return
    content = store.get(key).to_pybytes()
    damage.damage(store, key, way, generator=generator, other=generator.choice(others) if others else None)
    if store.exists(key) and store.get(key).to_pybytes() == content:
        return  # the other file has the same content
    for verify in (verify_ledger, verify_deeply):
        named = {each.key: each.problem for each in verify(store).problems}
        is_newest = "/log/" in key and way == "deleted" and key == max(keys)
        if (
            not is_newest
            and not any(part in key for part in NOT_EVIDENCE)
            and (way, key) not in _unrecorded(store, key)
        ):
            assert key in named, (way, key, named)
    for name, read in readers(run_id).items():
        try:
            answer = read(store)
        except AssayError:
            continue
        assert name in ("list", "calibration", "log") or answer == answers[name], (name, way, key)
    damage.overwrite(store, key, content) if store.exists(key) else store.put_if_absent(key, content)


def _unrecorded(store: Store, key: str) -> set[tuple[str, str]]:
    """Files that nothing else names, so that their absence is not noticed."""
    kinds_of_it = ("/patches/", "/tables/", "/calibrations/")
    return {("deleted", key)} if any(part in key for part in kinds_of_it) else set()


@pytest.mark.parametrize("way", damage.WAYS)
def test_a_damaged_file_of_a_run_is_named_and_never_used(forger, way):
    store, generator = open_store(str(forger.ledger)), random.Random(way)
    keys = kinds(store)[generator.choice(("data/scores", "data/analyses", "runs", "commits"))]
    damage.damage(store, keys[0], way, generator=generator, other=kinds(store)["data/scores"][-1])
    assert keys[0] in {each.key for each in verify_ledger(store).problems}
    with pytest.raises(AssayError, match=keys[0].rpartition("/")[2].partition(".")[0]):
        check_run(CommittedRun(store, forger.run_id))


def check_every_kind(store: Store, run_id: str, way: str) -> None:
    generator, answers = random.Random(way), answers_of(store, run_id)
    for keys in kinds(store).values():
        check_damaged(store, run_id, keys, way, generator=generator, answers=answers)


@pytest.mark.extended
@pytest.mark.parametrize("way", damage.WAYS)
def test_a_damaged_file_of_any_kind_is_named_and_never_used(furnished, tmp_path, way):
    ledger, run_id = furnished
    shutil.copytree(ledger, tmp_path / "ledger")
    check_every_kind(open_store(str(tmp_path / "ledger")), run_id, way)


@pytest.mark.extended
@pytest.mark.parametrize("way", damage.WAYS)
@pytest.mark.usefixtures("s3")
def test_a_damaged_file_in_a_bucket_is_named_and_never_used(furnished, way):
    ledger, run_id = furnished
    local, store = open_store(str(ledger)), open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    for stored in local.listing("v2/"):
        store.put_if_absent(stored.key, local.get(stored.key).to_pybytes())
    check_every_kind(store, run_id, way)
