"""A host fetches each shard once, however many arms run there, and the ledger shows it."""

import os
import tempfile
import threading
import uuid
from pathlib import Path

import pytest
import yaml

from assay.cluster import pipeline
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shard_cache import ShardCache
from assay.evaluator.ledger import reader
from assay.evaluator.storage import open_store
from assay.evaluator.storage.s3 import S3Store
from assay.manifests import parse
from tests import builders
from tests.seaweed import BUCKET

NUM_SHARDS = 7  # 200 rows in shards of 32


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    """Slots of this process use a shard cache of their own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def arms(num_arms: int) -> dict[str, dict]:
    others = {f"arm-{number}": builders.variant(flip_every=number + 5) for number in range(num_arms - 1)}
    return {"control": builders.ARMS["control"], **others}


def units(experiment: Path, *, in_process: bool = True) -> list[dict]:
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=in_process, on_progress=lambda arm, units: None)
    files = reader.committed_files(prepared.store, prepared.run.run_id)
    return reader.read_table(prepared.store, files, "units").to_pylist()


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "datasets" / "objects").rglob("*.arrow"))


@pytest.mark.parametrize("num_arms", [1, 4, 8])
def test_however_many_arms_each_shard_is_read_once(tmp_path, num_arms):
    found = units(builders.write_experiment(tmp_path, arms=arms(num_arms)))
    assert len(found) == NUM_SHARDS * num_arms
    assert sum(unit["shards_fetched"] for unit in found) == NUM_SHARDS
    assert sum(unit["bytes_fetched"] for unit in found) == size_bytes(tmp_path)
    assert {unit["shard_cache"] for unit in found} == {"shared"}
    assert {unit["host"] for unit in found} != {None}
    assert all(unit["decode_s"] >= 0 and unit["fetch_s"] >= 0 for unit in found)


def test_while_a_unit_is_evaluated_the_shards_of_the_next_one_come(tmp_path, monkeypatch):
    threads: dict[int, list[str]] = {}
    fetch = ShardCache.fetch

    def noted(cache, shard):
        threads.setdefault(shard.index, []).append(threading.current_thread().name)
        return fetch(cache, shard)

    monkeypatch.setattr(ShardCache, "fetch", noted)
    experiment = builders.write_experiment(tmp_path, arms={"control": builders.variant(delay_s=0.05)})
    units(experiment)
    unprobed = (1, 3, 5)  # the probe may have fetched the others: it reads 4 batches, spread over the first 16
    assert [threads[index][0].partition("_")[0] for index in unprobed] == ["prefetch"] * len(unprobed)


@pytest.mark.parametrize("num_arms", [1, 4, 8])
def test_each_object_of_a_bucket_is_got_once(tmp_path, s3, num_arms, monkeypatch):
    got: list[str] = []
    get = S3Store.get
    monkeypatch.setattr(S3Store, "get", lambda store, key: got.append(key) or get(store, key))
    location = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    contract = parse(yaml.safe_dump(builders.CONTRACT), file="contract.yaml", kind="Contract")
    source = builders.write_rows(tmp_path)
    freeze([source], contract=contract, reference="small@v1", store=open_store(location), shard_rows=32)
    experiment = builders.write_experiment(tmp_path, arms=arms(num_arms))
    content = yaml.safe_load(experiment.read_text())
    experiment.write_text(yaml.safe_dump({**content, "dataset": f"{location}/small@v1"}))
    found = units(experiment)
    objects = [key for key in got if key.startswith("objects/")]
    assert len(objects) == len(set(objects)) == NUM_SHARDS
    assert sum(unit["shards_fetched"] for unit in found) == NUM_SHARDS


@pytest.mark.ray
def test_two_slots_of_a_host_read_each_shard_once_between_them(tmp_path, local_ray):
    (tmp_path / "met").mkdir()
    meeting = {"processes": 2, "folder": str(tmp_path / "met")}
    both = {name: builders.variant("meets", **each["parameters"], **meeting) for name, each in arms(4).items()}
    found = units(builders.write_experiment(tmp_path, arms=both, resources={"max_slots": 2}), in_process=False)
    assert {unit["slot"] for unit in found} == {"slot-0", "slot-1"}
    assert sum(unit["shards_fetched"] for unit in found) == NUM_SHARDS
    assert sum(unit["bytes_fetched"] for unit in found) == size_bytes(tmp_path)
    assert {unit["shard_cache"] for unit in found} == {"shared"}


def test_without_a_cache_every_unit_reads_for_itself_and_says_so(tmp_path):
    (tmp_path / "temporary" / f"assay-{os.getuid()}").touch()
    found = units(builders.write_experiment(tmp_path, arms=arms(4)))
    assert sum(unit["shards_fetched"] for unit in found) == 4 * (4 + NUM_SHARDS)  # the probe reads 4 of them
    assert all("File exists" in unit["shard_cache"] for unit in found)
