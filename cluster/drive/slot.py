"""A slot: holds one variant at a time, evaluates units of it and publishes them. Knows nothing of Ray."""

import datetime as dt
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from assay.cluster.drive.schedule import Task
from assay.evaluator import batches, determinism, fingerprint, process
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shard_cache import ShardCache
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.errors import DamageError, StoreError, VariantError
from assay.evaluator.evaluate import evaluate
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.writer import publish_unit
from assay.evaluator.predictors import (
    PredictionError,
    Predictor,
    device_class,
    load,
    peak_memory_bytes,
    pick_device,
    read_weights,
    reset_peak_memory,
)
from assay.evaluator.probes.batch_size import BatchSizeSensitivity, probe
from assay.evaluator.probes.latency import PairedTimes, time_in_turn
from assay.evaluator.provenance import environment
from assay.evaluator.results import UnitResult
from assay.evaluator.storage import open_store
from assay.manifests import Experiment, Variant
from assay.manifests.run import Run


@dataclass(frozen=True)
class Published:
    """A task that ended with its unit in the ledger.

    Attributes:
        receipt: What is stored.
        is_ours: False if somebody else had published the unit.
        digest: The digest of the rows that this slot made.
    """

    receipt: UnitReceipt
    is_ours: bool
    digest: str


@dataclass(frozen=True)
class Rehearsal:
    """How long a few batches of an arm took.

    Attributes:
        num_rows: Their rows.
        seconds: From their rows to their scores, the second time; without the writing of a unit.
        setup_s: Loading, the probe of the batch size, and what the first time took longer.
        device: On what.
    """

    num_rows: int
    seconds: float
    setup_s: float
    device: str


@dataclass(frozen=True)
class Failure:
    """A task that ended without a unit in the ledger.

    Attributes:
        scope: What is lost: this `unit` for now, the whole `arm`, the `run`, or the `slot` (its process died).
        reason: In one line.
        where: The slot and host.
        traceback: The variant's own traceback, if its code raised; empty otherwise.
        cause: What happened to a slot.
        counts: Whether this was a try of the unit: not if its slot died before it began, or with its node.
    """

    scope: Literal["unit", "arm", "run", "slot"]
    reason: str
    where: str
    traceback: str = ""
    cause: Literal["slot_lost", "out_of_memory", "hung"] = "slot_lost"
    counts: bool = True


class Slot:
    """One share of the machine, with one variant in it at a time."""

    def __init__(self, name: str, run_json: str, import_paths: Sequence[str]) -> None:
        """Takes everything by value, so that a slot can be made again anywhere.

        Args:
            name: The slot's name in the ledger.
            run_json: The opened run, as JSON.
            import_paths: Folders that entrypoints may be imported from, beside the installed packages.
        """
        sys.path[:0] = [path for path in import_paths if path not in sys.path]
        self._name = name
        self._run = Run.model_validate_json(run_json)
        self._experiment: Experiment = self._run.experiment
        self._variants = {arm.name: arm.variant for arm in self._experiment.arms}
        self._accelerator_types = {arm.name: arm.accelerator_type or "" for arm in self._experiment.arms}
        process.keep_freed_memory()
        determinism.apply(self._experiment.suite.determinism)
        self._device = pick_device()
        self._ledger = open_store(self._experiment.ledger, patient=True)
        dataset, store = open_dataset(self._experiment.dataset, patient=True)
        self._reader = ShardCache(
            dataset,
            store,
            run_id=self._run.run_id,
            bound_bytes=self._experiment.resources.shard_cache_bytes,
        )
        self._units = batches.units(
            dataset.num_rows, shard_rows=dataset.shard_rows, batch_size=self._experiment.suite.batch_size
        )
        self._environment = environment.capture()
        self._arm = ""
        self._predictor: Predictor | None = None
        self._wobble: BatchSizeSensitivity | None = None
        self._preparing = {"load_s": 0.0, "timing_s": 0.0, "probe_s": 0.0, "load_cpu_s": 0.0}
        self._weights_bytes: int | None = None
        self._times: PairedTimes | None = None  # of the arm and the control, until a unit of ours has carried it

    def perform(self, task: Task, upcoming: int | None) -> Published | Failure:
        """Evaluates and publishes one unit; every outcome is an answer, so that it crosses processes whole.

        Args:
            task: What to do.
            upcoming: The index of the unit that this slot will probably do next: its shards come in the meantime.
        """
        for index in (task.unit, upcoming):
            if index is not None:
                self._reader.prefetch(self._units[index].first_row, self._units[index].num_rows)
        try:
            if task.arm != self._arm:
                self._load(task.arm)
        except Exception as error:  # noqa: BLE001  # a variant's code may raise anything
            return self._failure("arm", f"cannot be loaded: {_in_one_line(error)}", error)
        try:
            suite, wobble = self._experiment.suite, self._probed()
            unit, wobbles = self._units[task.unit], wobble.exceeds(suite.wobble_tolerance)
            if wobbles and suite.on_wobble == "fail":
                return self._failure("arm", f"its scores depend on the batch size: {wobble.description(suite)}")
            if wobbles and suite.on_wobble == "batch_size_1":
                unit = replace(unit, batch_size=1)
            return self._evaluate(task, unit, wobble)
        except (DamageError, StoreError) as error:
            return self._failure("run", str(error))
        except PredictionError as error:
            # What the variant's code raised may pass, as a busy device does; a wrong form of output would come again.
            return self._failure("unit" if error.__cause__ else "arm", str(error), error.__cause__)
        except Exception as error:  # noqa: BLE001  # likewise, a variant's
            return self._failure("unit", _in_one_line(error), error)

    def rehearse(self, arm: str, *, num_batches: int) -> Rehearsal | str:
        """Evaluates the first batches twice and publishes nothing; in words, why it could not."""
        whole = self._units[0]
        unit = replace(whole, num_rows=min(whole.num_rows, num_batches * whole.batch_size))
        try:
            self._load(arm)
            self._probed()
            first_s, second_s = self._timed(unit), self._timed(unit)
        except Exception as error:  # noqa: BLE001  # likewise
            return _in_one_line(error)
        setup_s = self._preparing["load_s"] + self._preparing["probe_s"] + max(first_s - second_s, 0.0)
        self._preparing = dict.fromkeys(self._preparing, 0.0)
        return Rehearsal(unit.num_rows, second_s, setup_s, self._device.type)

    def _timed(self, unit: Unit) -> float:
        started = time.perf_counter()
        self._scored(unit)
        return time.perf_counter() - started

    def close(self) -> None:
        """Gives back what the slot holds beside its memory."""
        self._reader.close()

    def _load(self, arm: str) -> None:
        if self._predictor is not None:
            self._predictor.release()
        self._arm, self._predictor, self._wobble = "", None, None
        started, cpu_started = time.perf_counter(), time.process_time()
        self._predictor, self._weights_bytes = self._loaded(arm)
        self._arm = arm
        self._took("load_s", started, cpu_started)

    def _loaded(self, arm: str) -> tuple[Predictor, int | None]:
        """The arm's variant, ready, and the bytes of its weights file if it has one."""
        variant = self._variant(arm)
        determinism.apply(self._experiment.suite.determinism)  # the code of the arm before may have changed it
        weights = self._read_weights(variant)
        determinism.seed_all(self._experiment.suite.seed)
        inputs = variant.inputs or self._reader.dataset.names("feature")
        predictor = load(variant, inputs=inputs, weights=weights, device=self._device)
        return predictor, None if weights is None else weights.size

    def _read_weights(self, variant: Variant) -> pa.Buffer | None:
        weights = read_weights(variant, patient=True)
        if weights is not None and fingerprint.sha256_digest(weights) != variant.weights_digest:
            raise VariantError("the weights are not those that the run was opened with", place=variant.weights or "")
        return weights

    def _timed_in_turn(self, arm: str) -> PairedTimes | None:
        """The arm beside the control, loaded for as long as that takes; None where no guardrail asks for it."""
        plan = self._experiment.suite.plan
        if not plan.num_timed_batches or arm == plan.control:
            return None
        assert self._predictor is not None
        control = None
        try:
            control, _ = self._loaded(plan.control)
            return time_in_turn(
                self._units[0],
                arm=(self._predictor, self._variant(arm)),
                control=(control, self._variant(plan.control)),
                num_batches=plan.num_timed_batches,
                suite=self._experiment.suite,
                reader=self._reader,
            )
        except (DamageError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001  # either variant's code, or too little memory for both
            return PairedTimes(reason=f"the arm and the control could not be timed in turn: {_in_one_line(error)}")
        finally:
            if control is not None:
                control.release()

    def _probed(self) -> BatchSizeSensitivity:
        """How far the arm's scores depend on the batch size; probed, and timed beside the control, once a load."""
        assert self._predictor is not None
        if self._wobble is None:
            started, cpu_started = time.perf_counter(), time.process_time()
            self._times = self._timed_in_turn(self._arm)
            self._took("timing_s", started, cpu_started)
            started, cpu_started = time.perf_counter(), time.process_time()
            reset_peak_memory(self._device)
            self._wobble = probe(
                self._units[0],
                predictor=self._predictor,
                variant=self._variant(self._arm),
                suite=self._experiment.suite,
                reader=self._reader,
            )
            self._took("probe_s", started, cpu_started)
        return self._wobble

    def _took(self, name: str, started: float, cpu_started: float) -> None:
        """Notes what an arm's first unit in this slot will carry beside its own time."""
        self._preparing[name] += time.perf_counter() - started
        self._preparing["load_cpu_s"] += time.process_time() - cpu_started

    def _variant(self, arm: str) -> Variant:
        return self._variants[arm]

    def _evaluate(self, task: Task, unit: Unit, wobble: BatchSizeSensitivity) -> Published:
        assert self._predictor is not None
        started_at = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
        result = self._scored(unit)
        preparing, self._preparing = self._preparing, dict.fromkeys(self._preparing, 0.0)
        circumstance = {
            "slot": self._name,
            "device": self._device.type,
            "attempt": task.attempt,
            "first_row": unit.first_row,
            "started_at": started_at,
            **preparing,
            "num_cpus": self._experiment.resources.num_cpus,
            "num_gpus": self._experiment.resources.num_gpus,
            "accelerator_type": self._accelerator_types[task.arm],
            "shard_cache": self._reader.problem or "shared",
            "environment_digest": self._environment.identity_digest,
            **self._place(),
            "batch_size": unit.batch_size,
            "wobble": asdict(wobble),
            "weights_bytes": self._weights_bytes,
            "num_parameters": self._predictor.num_parameters,
            "peak_memory_bytes": peak_memory_bytes(self._device),
        }
        if self._times is not None:
            circumstance["latency"] = asdict(self._times)
        receipt, is_ours = publish_unit(
            self._ledger, result, run=self._run, arm=task.arm, unit=task.unit, circumstance=circumstance
        )
        if is_ours:
            self._times = None  # once is enough, however many units follow
        return Published(receipt, is_ours, result.digest)

    def _scored(self, unit: Unit) -> UnitResult:
        assert self._predictor is not None
        return evaluate(
            unit,
            predictor=self._predictor,
            variant=self._variant(self._arm),
            suite=self._experiment.suite,
            reader=self._reader,
        )

    def _place(self) -> dict[str, Any]:
        """Where and under what scores are made. Ask after a variant is loaded: its code may change flags."""
        return {
            "host": self._environment.circumstance["host"],
            "cpu": self._environment.circumstance["cpu"],
            "device_class": device_class(self._device),
            "environment": dict(self._environment.identity),
            "determinism": asdict(determinism.flags_in_force()),
        }

    def _failure(
        self, scope: Literal["unit", "arm", "run"], reason: str, error: BaseException | None = None
    ) -> Failure:
        ours = isinstance(error, VariantError)
        trace = "" if error is None or ours else "".join(traceback.format_exception(error))
        return Failure(scope, reason, f"{self._name} on {self._environment.circumstance['host']}", trace)


def _in_one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().replace("\n", " ")
