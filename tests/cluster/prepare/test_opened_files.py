"""What variants opened in earlier runs is looked up once per variant, however many runs have evaluated it."""

import shutil

from assay.cluster import pipeline
from assay.cluster.prepare.opened_files import with_opened_files
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.storage import open_store
from tests import builders
from tests.counting_store import CountingStore

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}


def test_a_variant_of_many_runs_is_looked_up_once(tmp_path):
    for name in ("first", "second", "third"):
        prepared = pipeline.prepare(str(builders.write_experiment(tmp_path, arms=ARMS, name=name)))
        pipeline.run(prepared, in_process=True, on_progress=lambda _arm, _units: None)
    shutil.rmtree(tmp_path / "ledger/v2/index")
    store = CountingStore(open_store(str(tmp_path / "ledger")))
    past = PastRuns(store)
    assert len(past) == 3
    found = with_opened_files(prepared.run.experiment, past, folders=[str(tmp_path)])
    assert found == prepared.run.experiment
    assert len(store.parts) == len(ARMS)
    assert store.of("/scores/") == {}
