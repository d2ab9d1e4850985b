"""Everything changed, missing, moved or added in a real ledger is reported; unfinished work is not."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.cluster import pipeline
from assay.evaluator.ledger import reader, version_log, writer
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.evaluator.storage import open_store
from assay.manifests.ledger_layout import run_key
from tests import builders

ARMS = {
    "control": builders.variant(flip_every=4),
    "best": builders.variant(),
    "worse": builders.variant(cut=0.0),
    "broken": builders.variant("raises", above=0.99),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A committed run with an eliminated and a failed arm, decisions and an override; another one; an unfinished run."""
    folder = tmp_path_factory.mktemp("whole")
    race = {"first_units": 8, "growth": 1.5}
    for seed in (0, 1, 2):
        experiment = builders.write_experiment(
            folder, arms=ARMS, num_rows=800, race=race, suite={**builders.SUITE, "seed": seed}
        )
        prepared = pipeline.prepare(str(experiment))
        num_published = []

        def die_late(arm: str, units: int, seed: int = seed, num_published: list[str] = num_published) -> None:
            num_published.append(arm)
            if seed == 2 and len(num_published) == 20:
                raise KeyboardInterrupt

        try:
            pipeline.run(prepared, in_process=True, on_progress=die_late)
        except KeyboardInterrupt:
            assert seed == 2
        if seed == 0:
            (folder / "logged").write_text(prepared.run.run_id)
            decisions = reader.read_table(
                prepared.store, reader.committed_files(prepared.store, prepared.run.run_id), "decisions"
            ).to_pylist()
            version_log.record_decisions(prepared.store, prepared.run.run_id, decisions)
            version_log.override(prepared.store, prepared.run.run_id, "best", "hold", reason="a holiday", by="someone")
    assert not reader.is_committed(prepared.store, prepared.run.run_id)
    return folder


@pytest.fixture
def ledger(whole, tmp_path) -> Path:
    """A copy for the test to damage: `run` has decisions in the log, `other` only its commit, `half` is not committed."""
    shutil.copytree(whole / "ledger", tmp_path / "ledger")
    return tmp_path / "ledger"


@pytest.fixture(scope="module")
def names(whole) -> dict[str, str]:
    """The runs' ids by their names in the cases."""
    states = {each.run_id: each.committed for each in reader.runs(open_store(str(whole / "ledger")))}
    logged = (whole / "logged").read_text()
    (half,) = [run_id for run_id, committed in states.items() if not committed]
    (other,) = set(states) - {logged, half}
    return {"run": logged, "other": other, "half": half}


def found(ledger: Path, pattern: str, names: dict[str, str]) -> Path:
    """The first file that matches the pattern of a case."""
    return min((ledger / "v2").glob(pattern.format(**names)))


def named(ledger: Path, **options) -> dict[str, str]:
    return {each.key: each.problem for each in verify_ledger(open_store(str(ledger)), **options).problems}


def key_of(ledger: Path, path: Path) -> str:
    return path.relative_to(ledger).as_posix()


UNNAMED = [  # units in no commit record, which are checked against their own receipts
    "data/scores/{run}/worse/*.parquet",
    "data/scores/{run}/broken/*.parquet",
    "data/scores/{half}/control/*.parquet",
]
EVIDENCE = [
    "FORMAT.json",
    "runs/{run}.json",
    "commits/{run}.parquet",
    "data/scores/{run}/control/*.parquet",
    *(
        f"data/{table}/{{run}}/*.parquet"
        for table in ("units", "arms", "metrics", "comparisons", "decisions", "analyses", "events")
    ),
    "log/000001.json",
    "log/000002.json",
    "log/000006.json",  # the newest: no other entry refers to it
]


def test_a_ledger_that_nobody_touched_is_as_recorded(ledger, names):
    verified = verify_ledger(open_store(str(ledger)))
    assert verified.problems == ()
    assert verified.num_runs == 3
    assert verified.num_files == len(list((ledger / "v2/data").rglob("*.parquet")))
    assert verified.num_entries == 6  # two commits, three decisions, one override
    assert verified.unlogged == ()
    assert named(ledger, seal=version_log.seal(open_store(str(ledger))).seal) == {}


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6])
@pytest.mark.parametrize("pattern", EVIDENCE)
def test_a_changed_byte_is_named(ledger, names, pattern, part):
    path = found(ledger, pattern, names)
    content = bytearray(path.read_bytes())
    content[int(len(content) * part)] ^= 1
    path.write_bytes(content)
    assert key_of(ledger, path) in named(ledger)


@pytest.mark.parametrize(("column", "value"), [("row_index", 7), ("run_id", "another"), ("whole file", None)])
@pytest.mark.parametrize("pattern", UNNAMED)
def test_a_changed_row_of_an_unfinished_arm_is_named(ledger, names, pattern, column, value):
    path = found(ledger, pattern, names)
    table = pq.ParquetFile(path).read()
    path.unlink()  # the file is mapped
    if value is None:
        path.write_bytes(b"PAR1")
    else:
        place = table.column_names.index(column)
        pq.write_table(table.set_column(place, column, pa.array([value] * len(table))), path)
    assert key_of(ledger, path) in named(ledger)


# No record exists of what an unfinished driver had written.
REMOVED = [
    *(pattern for pattern in EVIDENCE if "000006" not in pattern),  # of which the hint and the index are named
    *UNNAMED[:2],
    "runs/{other}.json",
    "commits/{other}.parquet",
    "runs/{half}.json",
]


@pytest.mark.parametrize("pattern", REMOVED)
def test_a_removed_file_is_named(ledger, names, pattern):
    path = found(ledger, pattern, names)
    path.unlink()
    is_part_of_a_run = not {"worse", "broken"} & set(path.parts)  # of these two, only the number of units is recorded
    key = key_of(ledger, path) if is_part_of_a_run else f"{key_of(ledger, path.parent)}/"
    assert "is missing" in named(ledger)[key]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("log/000001.json", "log/000002.json"),
        ("log/000002.json", "log/000006.json"),
        ("runs/{run}.json", "runs/{other}.json"),
        ("runs/{half}.json", "runs/{other}.json"),
        ("commits/{run}.parquet", "commits/{other}.parquet"),
        ("data/scores/{run}/control/u000000.parquet", "data/scores/{run}/control/u000001.parquet"),
        ("data/scores/{half}/control/u000000.parquet", "data/scores/{half}/best/u000000.parquet"),
    ],
)
def test_two_swapped_files_are_both_named(ledger, names, one, other):
    if "{half}/" in one:
        units = sorted((ledger / f"v2/data/scores/{names['half']}").rglob("*.parquet"))
        first, second = units[0], units[-1]
    else:
        first, second = (found(ledger, pattern, names) for pattern in (one, other))
    aside = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(aside)
    assert {key_of(ledger, first), key_of(ledger, second)} <= set(named(ledger))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("data/scores/{run}/control/u000000.parquet", "data/scores/{run}/control/u000999.parquet"),
        ("data/scores/{run}/control/u000000.parquet", "data/scores/{run}/new/u000000.parquet"),
        ("data/scores/{half}/control/*.parquet", "data/scores/{half}/control/u000999.parquet"),
        ("data/arms/{run}/*.parquet", "data/arms/{run}/arms.parquet"),
        ("data/arms/{run}/*.parquet", "data/elsewhere/{run}/arms.parquet"),
        ("FORMAT.json", "notes.json"),
        ("log/000001.json", "log/1.json"),
        ("log/000006.json", "log/000007.json"),
    ],
)
def test_what_nobody_recorded_is_named(ledger, names, source, target):
    path = ledger / "v2" / target.format(**names)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(found(ledger, source, names), path)
    assert key_of(ledger, path) in named(ledger)


def test_files_of_a_run_without_a_record_name_the_record(ledger, names):
    shutil.copytree(ledger / f"v2/data/arms/{names['run']}", ledger / "v2/data/arms/gone")
    assert "is missing" in named(ledger)["v2/runs/gone.json"]


def test_tables_of_a_driver_that_died_before_its_commit_are_no_problem(ledger, names):
    store = open_store(str(ledger))
    arms = next((ledger / f"v2/data/arms/{names['run']}").iterdir())
    table = pq.ParquetFile(arms).read().to_pylist()
    assert writer.write_table(store, "arms", [{**row, "reason": "again"} for row in table], run_id=names["run"])
    assert named(ledger) == {}


def test_a_run_record_that_was_changed_fits_neither_itself_nor_its_commit(ledger, names):
    path = ledger / run_key(names["other"])
    record = json.loads(path.read_text())
    record["experiment"]["suite"]["plan"]["alpha"] = 0.04
    path.write_text(json.dumps(record))
    found = [each.problem for each in verify_ledger(open_store(str(ledger))).problems]
    assert any("experiment_digest is recorded as" in problem for problem in found)
    record["experiment"]["suite"]["plan"]["alpha"] = 0.05
    record["unit_keys"]["best"] = record["unit_keys"]["control"]
    path.write_text(json.dumps(record))
    assert "does not match the commit record" in named(ledger)[run_key(names["other"])]


def test_the_log_vouches_also_for_what_no_digest_of_a_run_covers(ledger, names):
    path = ledger / run_key(names["run"])
    path.write_text(path.read_text().replace('"opened_at": "2', '"opened_at": "1'))
    found = [each for each in verify_ledger(open_store(str(ledger))).problems if each.key == run_key(names["run"])]
    assert any("entry 1 of the log has" in each.problem for each in found)


def test_a_folder_that_is_no_ledger_says_so(tmp_path):
    assert "is not a ledger" in named(tmp_path)["v2/FORMAT.json"]
