"""Each kind of file of an unfinished ledger, damaged in six ways, then resumed: the right numbers, or an error of ours."""

import contextlib
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from assay.cluster.verify.contradictions import verify_deeply
from assay.evaluator.ledger import reader, version_log
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.manifests.errors import AssayError
from assay.manifests.ledger_layout import FORMAT_KEY, INDEX_KEY, log_key, patch_key, run_key, table_prefix, unit_key
from tests import builders, damage
from tests.seaweed import BUCKET, S3Server
from tests.unfinished import ARMS, NUM_ROWS, Unfinished, prepare, run

OTHER_SUITE = {**builders.SUITE, "seed": 1}


class DamagedLedger(Unfinished):
    """An unfinished run beside a committed one, with a log, a patch, an index, and the tables of the killed driver."""

    def __init__(self, folder: Path, ledger: str, *, num_rows: int = NUM_ROWS) -> None:
        self.folder, self.num_rows = folder, num_rows
        self.other = self.committed_beside(ledger)
        experiment = builders.write_experiment(
            folder, arms=ARMS, num_rows=num_rows, ledger=ledger, store_patch=True, suite=builders.SUITE
        )
        super().__init__(experiment, keeps_tables=True)

    def committed_beside(self, ledger: str) -> str:
        """Commits a run with other scores, has two decisions logged, and returns its id."""
        experiment = builders.write_experiment(
            self.folder,
            arms=ARMS,
            num_rows=self.num_rows,
            ledger=ledger,
            store_patch=True,
            suite=OTHER_SUITE,
            name="beside",
        )
        ready = prepare(experiment)
        run(ready)
        for decision in ("hold", "reject"):
            version_log.override(ready.store, ready.run.run_id, "better", decision, reason="a test", by="a test")
        (self.folder / "code.py").write_text("x = 3\n")  # another patch
        return ready.run.run_id

    def of(self, kind: str) -> tuple[str, str]:
        """A file of a kind, and another one of the same kind."""
        metrics = [
            next(key for key in self.kept if key.startswith(table_prefix("metrics", run_id)))
            for run_id in (self.run_id, self.other)
        ]
        units = unit_key(self.run_id, "better", 1), unit_key(self.other, "better", 1)
        patches = [
            patch_key(str(reader.read_run(self.store, run_id).lineage.circumstance["source"]["patch"]))
            for run_id in (self.run_id, self.other)
        ]
        return {
            "unit": units,
            "run": (run_key(self.run_id), run_key(self.other)),
            "other_run": (run_key(self.other), run_key(self.run_id)),
            "format": (FORMAT_KEY, run_key(self.run_id)),
            "index": (INDEX_KEY, run_key(self.run_id)),
            "log": (log_key(2), log_key(1)),
            "patch": (patches[0], patches[1]),
            "table": (metrics[0], metrics[1]),
        }[kind]


KINDS = ("unit", "run", "other_run", "format", "index", "log", "patch", "table")
CASES = [(kind, way) for kind in KINDS for way in damage.WAYS]
SAMPLE = [
    ("run", "bit_flip"),
    ("run", "copied"),
    ("other_run", "foreign"),
    ("format", "truncated"),
    ("patch", "bit_flip"),
    ("table", "copied"),
]
REPEATED = {"bit_flip": 5}
"""How many bits are flipped, one in each of as many runs, in the extended tests."""


def repository(folder: Path) -> Path:
    """A folder with uncommitted changes."""
    folder.mkdir(parents=True, exist_ok=True)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--allow-empty", "--message=first"]):
        (folder / "code.py").write_text("x = 1\n")
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True)
    (folder / "code.py").write_text("x = 2\n")
    return folder


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory) -> DamagedLedger:
    return ledger_at(tmp_path_factory, "memory://{name}")


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory) -> DamagedLedger:
    return ledger_at(tmp_path_factory, "{folder}")


@pytest.fixture(scope="module")
def in_bucket(tmp_path_factory, s3: S3Server) -> DamagedLedger:
    return ledger_at(tmp_path_factory, f"s3://{BUCKET}/{{name}}")


def ledger_at(tmp_path_factory, place: str, *, num_rows: int = NUM_ROWS) -> DamagedLedger:
    folder = repository(tmp_path_factory.mktemp("damaged-ledger"))
    with contextlib.chdir(folder):
        at = place.format(name=folder.name, folder=folder.parent / f"{folder.name}-ledger")
        return DamagedLedger(folder, at, num_rows=num_rows)


def error_of(action: Callable[[], None]) -> AssayError | None:
    """The error of ours with which an action ends; None if it succeeds. Any other exception is raised."""
    try:
        action()
    except AssayError as error:
        return error
    return None


def check_resumed(ledger: DamagedLedger, kind: str, way: str, *, seed: int = 0) -> None:
    """Damages the file, runs the experiment again, and checks that nothing was changed without a word."""
    ledger.restore()
    key, other = ledger.of(kind)
    damage.damage(ledger.store, key, way, generator=random.Random(f"{kind} {way} {seed}"), other=other)
    with contextlib.chdir(ledger.folder):  # whose uncommitted changes are the patch
        error = error_of(lambda: run(prepare(ledger.experiment)))
    if error is not None:
        assert key in str(error)
        assert kind in ("run", "format"), error  # whatever else is damaged must not stop the run
        assert not reader.is_committed(ledger.store, ledger.run_id)
        return
    assert ledger.tables() == ledger.expected
    set_aside = [event for event in ledger.events() if event["kind"] == "set_aside"]
    assert bool(set_aside) == (kind == "unit" and way != "deleted")
    named = {problem.key for problem in verify_ledger(ledger.store).problems}
    intact = {"unit", "run", "format", "index", "patch", "table"}  # what the run needs is intact now
    assert kind not in intact or named == set(), named


@pytest.mark.parametrize(("kind", "way"), SAMPLE)
def test_a_damaged_file_changes_no_number_without_a_word(in_memory, kind, way):
    check_resumed(in_memory, kind, way)


@pytest.mark.extended
@pytest.mark.parametrize("place", ["on_disk", "in_bucket"])
@pytest.mark.parametrize(("kind", "way"), CASES)
def test_no_kind_of_damage_changes_a_number_without_a_word(request, place, kind, way):
    for seed in range(REPEATED.get(way, 1)):
        check_resumed(request.getfixturevalue(place), kind, way, seed=seed)


DERIVED = ("v2/progress/", "v2/index/")
"""What cluster/README.md says is not evidence: it may be changed or deleted."""


def alike(keys: Iterable[str], key: str) -> str:
    """Another file of the same kind: of the same table or folder, else any other."""
    others = [each for each in keys if each != key]
    table = "/".join(key.split("/")[: 3 if key.startswith("v2/data/") else 2])
    name = key.rpartition("/")[2]
    return min(others, key=lambda each: (not each.startswith(f"{table}/"), each.rpartition("/")[2] != name))


@pytest.mark.extended
def test_each_file_of_a_committed_ledger_damaged_in_six_ways_is_named(tmp_path_factory):
    ledger = ledger_at(tmp_path_factory, "{folder}", num_rows=64)
    with contextlib.chdir(ledger.folder):
        run(prepare(ledger.experiment))
    store = ledger.store
    kept = {entry.key: store.get(entry.key).to_pybytes() for entry in store.listing("v2/")}
    committed = {run_key(ledger.run_id), run_key(ledger.other), *(key for key in kept if "/data/" not in key)}
    committed |= {file.key for each in (ledger.run_id, ledger.other) for file in reader.committed_files(store, each)}
    assert verify_deeply(store).problems == ()
    unnamed, counts = [], Counter[bool]()
    for key, content in kept.items():
        for way in damage.WAYS:
            generator = random.Random(f"{key} {way}")
            damage.damage(store, key, way, generator=generator, other=alike(kept, key))
            said = [f"{each.key}: {each.problem}" for each in verify_deeply(store).problems]
            counts[bool(said)] += 1
            # Nothing has recorded a table of the killed driver; the newest log entry is missed by what refers to it.
            is_seen = any(key in each for each in said) or (way == "deleted" and (said or key not in committed))
            if not is_seen and not key.startswith(DERIVED):
                unnamed.append((key, way, said))
            if store.exists(key):
                damage.delete(store, key)
            store.put_if_absent(key, content)
    print(f"{len(kept)} files, {counts[True]} of {counts.total()} cases with problems")
    assert unnamed == []
    assert verify_deeply(store).problems == ()


@pytest.mark.extended
def test_each_file_of_an_unfinished_ledger_damaged_in_six_ways_changes_no_number(tmp_path_factory):
    ledger = ledger_at(tmp_path_factory, "{folder}", num_rows=64)
    outcomes = Counter[str]()
    for key in ledger.kept:
        for way in damage.WAYS:
            ledger.restore()
            generator = random.Random(f"{key} {way}")
            damage.damage(ledger.store, key, way, generator=generator, other=alike(ledger.kept, key))
            with contextlib.chdir(ledger.folder):
                error = error_of(lambda: run(prepare(ledger.experiment)))
            outcomes["committed" if error is None else type(error).__name__] += 1
            if error is None:
                assert ledger.tables() == ledger.expected, (key, way)
            else:
                assert key in str(error), (way, error)
                assert not reader.is_committed(ledger.store, ledger.run_id)
    print(f"{len(ledger.kept)} files: {dict(outcomes)}")
    assert outcomes["committed"] > 0.9 * outcomes.total()


def test_a_damaged_unit_in_a_bucket_is_scored_again(in_bucket):
    check_resumed(in_bucket, "unit", "bit_flip")
