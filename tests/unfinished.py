"""An unfinished run whose units are all published, to be damaged, resumed and compared with the undisturbed run."""

import json
import sys
from pathlib import Path
from typing import Any, get_args

from assay.cluster import pipeline
from assay.cluster.report.record import document
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.ledger_verification import verify_ledger
from assay.manifests.ledger_layout import (
    INDEX_KEY,
    LOG_HINT_KEY,
    LOG_PREFIX,
    Table,
    commit_key,
    progress_key,
    table_prefix,
    unit_key,
)
from tests import builders, damage

ARMS = {"control": builders.ARMS["control"], "better": builders.variant()}
NUM_ROWS = 96  # 3 units of 32 rows per arm
DETERMINISTIC = ("scores", "metrics", "comparisons", "decisions", "analyses", "confusions", "histograms")


class Unfinished:
    """An unfinished run whose units are all published, which can be put back to that state.

    Attributes:
        prepared: The run, prepared before it is resumed.
        store: Its ledger.
        kept: The files of the unfinished ledger, by key.
        expected: The rows of the tables of the undisturbed run, by the table's name.
    """

    def __init__(self, experiment: Path, *, keeps_tables: bool = False) -> None:
        """Runs the experiment, then makes the ledger one of which the driver was killed before the commit.

        Args:
            experiment: The experiment's file.
            keeps_tables: Whether it was killed after it had stored the tables.
        """
        self.experiment = experiment
        calm = prepare(experiment)
        run(calm)
        self.store, self.run_id = calm.store, calm.run.run_id
        self.expected = self.tables()
        self.digest = document(self.store, self.run_id).plain()["scores_digest"]
        tables = [table_prefix(name, self.run_id) for name in get_args(Table) if name != "scores"]
        for key in [entry.key for entry in self.store.listing("v2/")]:
            if key in (commit_key(self.run_id), progress_key(self.run_id), LOG_HINT_KEY, INDEX_KEY):
                damage.delete(self.store, key)
            if key.startswith(LOG_PREFIX) and json.loads(self.store.get(key).to_pybytes())["run_id"] == self.run_id:
                damage.delete(self.store, key)
            if key.startswith(tuple(tables)) and not keeps_tables:
                damage.delete(self.store, key)
        self.kept = {entry.key: self.store.get(entry.key).to_pybytes() for entry in self.store.listing("v2/")}
        self.prepared = prepare(experiment)

    def restore(self) -> None:
        """Puts every file back as it was."""
        for entry in [*self.store.listing("v2/")]:
            if entry.key not in self.kept or self.store.get(entry.key).to_pybytes() != self.kept[entry.key]:
                damage.delete(self.store, entry.key)
        for key, content in self.kept.items():
            self.store.put_if_absent(key, content)

    @property
    def units(self) -> list[str]:
        return [key for key in self.kept if key.startswith(table_prefix("scores", self.run_id))]

    def tables(self) -> dict[str, Any]:
        run = CommittedRun(self.store, self.run_id)
        tables = {name: run.rows(name) for name in DETERMINISTIC}
        tables["decisions"] = [{**row, "questions": None} for row in tables["decisions"]]  # they tell the cost
        return tables

    def events(self) -> list[dict[str, Any]]:
        return [row for row in CommittedRun(self.store, self.run_id).rows("events") if row["kind"] != "resumed"]

    def check(self, *, damaged: list[str], deleted: list[str] | None = None) -> None:
        """The numbers are the undisturbed ones, the damaged units are named, and all others were reused."""
        assert self.tables() == self.expected
        assert document(self.store, self.run_id).plain()["scores_digest"] == self.digest
        found = [(event["kind"], unit_key(self.run_id, event["arm"], event["unit"])) for event in self.events()]
        assert sorted(found) == [("set_aside", key) for key in sorted(damaged)]
        for key in set(self.units) - {*damaged, *(deleted or [])}:
            assert self.store.get(key).to_pybytes() == self.kept[key]
        assert verify_ledger(self.store).problems == ()


def prepare(experiment: Path) -> pipeline.Prepared:
    sys.modules.pop("variants_under_test", None)
    return pipeline.prepare(str(experiment))


def run(prepared: pipeline.Prepared) -> None:
    pipeline.run(prepared, in_process=True, on_progress=lambda arm, units: None)
