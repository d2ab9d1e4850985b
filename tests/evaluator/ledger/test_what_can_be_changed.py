"""What a person with write access to a ledger can change unseen: every row of the README's table, done to a real ledger."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.evaluator.ledger import version_log
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import open_store
from assay.manifests.run import seal_of
from tests import builders
from tests.forged_log import digest, rewrite_log, write

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}
README = Path(__file__).parents[3] / "cluster/README.md"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    """A ledger with two runs, the first of which has a decision in the log."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("first", "second"):
        experiment = builders.write_experiment(folder, arms=ARMS, num_rows=64, name=name)
        prepared = pipeline.prepare(str(experiment))
        pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
        if name == "first":
            (row,) = version_log.CommittedRun(prepared.store, prepared.run.run_id).rows("decisions")
            version_log.record_decisions(prepared.store, prepared.run.run_id, [row])
    return folder / "ledger/v2"


def only(ledger: Path, pattern: str) -> Path:
    return min(ledger.glob(pattern))


def change_scores(ledger: Path) -> Path:
    """Exchanges the units of two arms, both of which are valid files."""
    one, other = (only(ledger, f"data/scores/first-*/{arm}/u000000.parquet") for arm in ("control", "better"))
    before = one.read_bytes()
    write(one, other.read_bytes())
    write(other, before)
    return one


def fit_commit_record(ledger: Path) -> None:
    """Writes the digests and sizes that the files of the first run have now into its commit record."""
    path = only(ledger, "commits/first-*.parquet")
    table = pq.ParquetFile(path).read()
    rows = [
        {**row, "sha256": digest(ledger / row["path"]), "size_bytes": (ledger / row["path"]).stat().st_size}
        for row in table.to_pylist()
    ]
    path.unlink()
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)


def delete_run(ledger: Path, name: str) -> None:
    for path in ledger.rglob(f"*{name}-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def changed_scores(ledger: Path) -> None:
    change_scores(ledger)


def changed_scores_and_commit(ledger: Path) -> None:
    change_scores(ledger)
    fit_commit_record(ledger)


def changed_scores_commit_and_entry(ledger: Path) -> None:
    changed_scores_and_commit(ledger)
    rewrite_log(ledger, only_first=True)


def rewritten(ledger: Path) -> None:
    """All that refers to what was changed is changed, too; here a number that only rescoring can tell from the true one."""
    path = only(ledger, "runs/first-*.json")
    record = json.loads(path.read_text())
    assert record["opened_at"].startswith("20")
    changed = {**record, "opened_at": "2020-01-01T00:00:00.000+00:00"}
    write(path, json.dumps({**changed, "seal": seal_of(changed)}).encode())
    commit = only(ledger, "commits/first-*.parquet")
    table = pq.ParquetFile(commit).read()
    commit.unlink()
    rows = [{**row, "record_digest": digest(path)} for row in table.to_pylist()]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), commit)
    rewrite_log(ledger)
    shutil.rmtree(ledger / "index")


def deleted_run(ledger: Path) -> None:
    delete_run(ledger, "second")
    shutil.rmtree(ledger / "index")


def cut_log(ledger: Path) -> None:
    only(ledger, "log/000003.json").unlink()


def cut_log_and_index(ledger: Path) -> None:
    cut_log(ledger)
    shutil.rmtree(ledger / "index")


def cut_log_before_a_commit(ledger: Path) -> None:
    for number in (2, 3):
        only(ledger, f"log/{number:06d}.json").unlink()
    shutil.rmtree(ledger / "index")


def deleted_run_and_newest_entries(ledger: Path) -> None:
    deleted_run(ledger)
    cut_log(ledger)


def forged_override(ledger: Path) -> None:
    store = open_store(str(ledger.parent))
    run_id = only(ledger, "runs/first-*.json").stem
    version_log.override(store, run_id, "better", "reject", reason="forged", by="somebody else")


def changed_progress(ledger: Path) -> None:
    path = only(ledger, "progress/second-*.json")
    write(path, b'{"state": "committed"}')
    shutil.rmtree(ledger / "index")


SEEN, UNSEEN, UNLOGGED = "seen", "unseen", "said: not yet logged"
ROWS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a file of a committed run is changed, added or removed": (changed_scores, SEEN, SEEN),
    "… and the run's commit record is changed to fit": (changed_scores_and_commit, SEEN, SEEN),
    "… and the log's entry of the commit, sealed anew": (changed_scores_commit_and_entry, SEEN, SEEN),
    "a record is changed, and with it everything that refers to it: commit records, all log entries since, index": (
        rewritten,
        UNSEEN,
        SEEN,
    ),
    "a committed run is removed with all its files": (deleted_run, SEEN, SEEN),
    "… and the newest log entries, from its commit on, with the index": (deleted_run_and_newest_entries, UNSEEN, SEEN),
    "the newest log entries are removed": (cut_log, SEEN, SEEN),
    "… and the index, and the commits that they logged are the newest": (cut_log_and_index, UNLOGGED, SEEN),
    "… and the index, and a later commit refers to them": (cut_log_before_a_commit, SEEN, SEEN),
    "an entry is appended under another person's name (`--by` is a label)": (forged_override, UNSEEN, UNSEEN),
    "progress is changed, the index removed: neither is evidence": (changed_progress, UNSEEN, UNSEEN),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_the_readme_says_of_a_change_is_so(two_runs, tmp_path, row):
    change, without_seal, with_seal = ROWS[row]
    ledger = shutil.copytree(two_runs, tmp_path / "ledger/v2")
    store = open_store(str(tmp_path / "ledger"))
    seal = version_log.seal(store).seal
    assert verify_ledger(store, seal=seal).problems == ()
    change(ledger)
    verified = verify_ledger(store)
    said = SEEN if verified.problems else UNLOGGED if verified.unlogged else UNSEEN
    assert said == without_seal, verified.problems
    assert (SEEN if verify_ledger(store, seal=seal).problems else UNSEEN) == with_seal


def test_the_readme_has_these_rows():
    table = re.findall(
        r"^\| (.+?) \| (seen|unseen|said: not yet logged)[^|]* \| (seen|unseen)[^|]* \|$",
        README.read_text(),
        re.MULTILINE,
    )
    assert table == [(row, without, with_seal) for row, (_, without, with_seal) in ROWS.items()]
