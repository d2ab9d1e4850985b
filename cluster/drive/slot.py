"""A slot: has one variant loaded at a time and works on one unit after another. Knows nothing of Ray."""

import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Failure, Published, one_line
from assay.cluster.drive.unit_work import UnitWork
from assay.evaluator.errors import DamageError, StoreError, VariantError
from assay.evaluator.ledger.opening import open_ledger
from assay.evaluator.predictors import PredictionError
from assay.manifests.run import Run


class Slot:
    """One share of a machine, with at most one variant loaded."""

    def __init__(self, name: str, run_json: str, import_paths: Sequence[str], work: UnitWork) -> None:
        """Takes everything by value, so that a slot can be restarted on any host.

        Args:
            name: The slot's name in the ledger.
            run_json: The opened run, as JSON.
            import_paths: Folders that entrypoints may be imported from, in addition to the installed packages.
            work: What it does with each unit.
        """
        self._name, self._work = name, work
        self._scorer = ArmScorer(Run.model_validate_json(run_json), import_paths)
        self._suite = self._scorer.run.experiment.suite
        self._ledger = open_ledger(self._scorer.run.experiment.ledger, patient=True)

    def perform(self, task: Task, upcoming: int | None) -> Published | Failure:
        """Works on one unit. Failures are returned, not raised, so that they cross process boundaries intact.

        Args:
            task: The task.
            upcoming: The index of the unit that this slot will probably get next: its shards are prefetched.
        """
        scorer, work = self._scorer, self._work
        scorer.prefetch(index for index in (task.unit, upcoming) if index is not None)
        try:
            if task.arm != scorer.arm:
                scorer.load(task.arm, checks_weights=work.checks_weights)
        except Exception as error:  # noqa: BLE001  # a variant's code may raise anything
            return self._failure("arm", f"the variant cannot be loaded: {one_line(error)}", error)
        try:
            sensitivity = scorer.probe(times_control=work.times_control)
            unit, is_sensitive = scorer.units[task.unit], sensitivity.exceeds(self._suite.batch_sensitivity_tolerance)
            if is_sensitive and self._suite.on_batch_sensitivity == "fail":
                return self._failure(
                    "arm", f"its scores depend on the batch size: {sensitivity.description(self._suite)}"
                )
            if is_sensitive and self._suite.on_batch_sensitivity == "batch_size_1":
                unit = replace(unit, batch_size=1)
            return work.perform(
                task, unit, scorer=scorer, sensitivity=sensitivity, ledger=self._ledger, slot=self._name
            )
        except (DamageError, StoreError) as error:
            return self._failure("run", str(error))
        except PredictionError as error:
            # An exception of the variant's code may be transient (a busy device); output of the wrong form is not.
            return self._failure("unit" if error.__cause__ else "arm", str(error), error.__cause__)
        except Exception as error:  # noqa: BLE001  # a variant's code may raise anything
            return self._failure("unit", one_line(error), error)

    def close(self) -> None:
        """Releases files and locks that the slot holds."""
        self._scorer.close()

    def _failure(
        self, scope: Literal["unit", "arm", "run"], reason: str, error: BaseException | None = None
    ) -> Failure:
        is_ours = isinstance(error, VariantError)
        trace = "" if error is None or is_ours else "".join(traceback.format_exception(error))
        host = self._scorer.environment.circumstance["host"]
        return Failure(scope, reason, f"{self._name} on {host}", trace)
