"""Holds one arm's variant at a time, loaded, probed and timed, and scores units with it. Publishes nothing."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from assay.cluster.drive.task_result import one_line
from assay.evaluator import batches, determinism, fingerprint, process
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shard_cache import ShardCache
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.errors import DamageError, StoreError, VariantError
from assay.evaluator.evaluate import evaluate
from assay.evaluator.predictors import (
    Predictor,
    device_class,
    load,
    peak_memory_bytes,
    pick_device,
    read_weights,
    reset_peak_memory,
)
from assay.evaluator.predictors.entrypoint import add_import_paths
from assay.evaluator.probes.batch_size import BatchSizeSensitivity, probe
from assay.evaluator.probes.latency import PairedTimes, time_in_turn
from assay.evaluator.provenance import environment
from assay.evaluator.results import UnitResult
from assay.manifests import Variant
from assay.manifests.run import Run

_NO_PREPARATION = {"load_s": 0.0, "timing_s": 0.0, "probe_s": 0.0, "load_cpu_s": 0.0}


class ArmScorer:
    """A run's dataset, device and environment in this process, and the arm that is loaded.

    Attributes:
        run: The opened run.
        units: The dataset's units.
        device: What variants run on.
        environment: The packages and the host.
        arm: The loaded arm; empty before the first, or if loading failed.
        weights_digest: The digest of its weights as they are now; None without weights.
        paired_times: Batches of the arm and the control, timed in turn; None where no guardrail asks for it.
    """

    def __init__(self, run: Run, import_paths: Sequence[str]) -> None:
        """Opens the dataset and sets the process up as the suite says; loads nothing yet.

        Args:
            run: The opened run.
            import_paths: Folders that entrypoints may be imported from, beside the installed packages.
        """
        add_import_paths(import_paths)
        self.run = run
        self._suite = run.experiment.suite
        self._arms = {arm.name: arm for arm in run.experiment.arms}
        process.keep_freed_memory()
        determinism.apply(self._suite.determinism)
        self.device = pick_device()
        dataset, store = open_dataset(run.experiment.dataset, patient=True)
        self._reader = ShardCache(
            dataset, store, run_id=run.run_id, bound_bytes=run.experiment.resources.shard_cache_bytes
        )
        self.units = batches.units(dataset.num_rows, shard_rows=dataset.shard_rows, batch_size=self._suite.batch_size)
        self.environment = environment.capture()
        self.arm = ""
        self.weights_digest: str | None = None
        self.paired_times: PairedTimes | None = None
        self._predictor: Predictor | None = None
        self._sensitivity: BatchSizeSensitivity | None = None
        self._weights_bytes: int | None = None
        self._preparation = dict(_NO_PREPARATION)

    def prefetch(self, indices: Iterable[int]) -> None:
        """Begins to fetch the shards of units."""
        for index in indices:
            self._reader.prefetch(self.units[index].first_row, self.units[index].num_rows)

    def load(self, arm: str, *, checks_weights: bool = True) -> None:
        """Loads an arm's variant in place of the one before.

        Args:
            arm: The arm's name.
            checks_weights: Whether weights must be those that the run was opened with.

        Raises:
            VariantError: They are not.
        """
        if self._predictor is not None:
            self._predictor.release()
        self.arm, self._predictor, self._sensitivity = "", None, None
        started, cpu_started = time.perf_counter(), time.process_time()
        weights, self.weights_digest = self._read_weights(arm, checks_weights=checks_weights)
        self._weights_bytes = None if weights is None else weights.size
        self._predictor = self._loaded(arm, weights)
        self.arm = arm
        self._add_preparation("load_s", started, cpu_started)

    def probe(self, *, times_control: bool = True) -> BatchSizeSensitivity:
        """How far the loaded arm's scores depend on the batch size; probed once a load.

        Args:
            times_control: Whether the arm is also timed beside the control, if the plan has a guardrail on latency.
        """
        assert self._predictor is not None
        if self._sensitivity is None:
            started, cpu_started = time.perf_counter(), time.process_time()
            self.paired_times = self._timed_in_turn() if times_control else None
            self._add_preparation("timing_s", started, cpu_started)
            started, cpu_started = time.perf_counter(), time.process_time()
            reset_peak_memory(self.device)
            self._sensitivity = probe(
                self.units[0],
                predictor=self._predictor,
                variant=self.variant,
                suite=self._suite,
                reader=self._reader,
            )
            self._add_preparation("probe_s", started, cpu_started)
        return self._sensitivity

    def score(self, unit: Unit) -> UnitResult:
        """Scores a unit's rows with the loaded arm."""
        assert self._predictor is not None
        return evaluate(unit, predictor=self._predictor, variant=self.variant, suite=self._suite, reader=self._reader)

    @property
    def variant(self) -> Variant:
        """The loaded arm's variant."""
        return self._arms[self.arm].variant

    @property
    def accelerator_type(self) -> str:
        """The accelerator type that the loaded arm asks for; empty: any."""
        return self._arms[self.arm].accelerator_type or ""

    def take_preparation(self) -> dict[str, float]:
        """Seconds of loading, timing and probing since this was last asked: the next unit carries them."""
        preparation, self._preparation = self._preparation, dict(_NO_PREPARATION)
        return preparation

    def conditions(self) -> dict[str, Any]:
        """Where and under what scores are made. Ask after a variant is loaded: its code may change flags."""
        return {
            "host": self.environment.circumstance["host"],
            "cpu": self.environment.circumstance["cpu"],
            "device_class": device_class(self.device),
            "environment": dict(self.environment.identity),
            "determinism": asdict(determinism.flags_in_force()),
        }

    def footprint(self) -> dict[str, int | None]:
        """What the loaded variant takes: bytes of its weights file, parameters, peak memory of the device."""
        assert self._predictor is not None
        return {
            "weights_bytes": self._weights_bytes,
            "num_parameters": self._predictor.num_parameters,
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }

    @property
    def cache_problem(self) -> str:
        """Why shards are not shared with the host's other slots; empty if they are."""
        return self._reader.problem

    def close(self) -> None:
        """Gives back what is held beside memory."""
        self._reader.close()

    def _read_weights(self, arm: str, *, checks_weights: bool) -> tuple[pa.Buffer | None, str | None]:
        """The arm's weights and their digest; None twice if it has none."""
        variant = self._arms[arm].variant
        determinism.apply(self._suite.determinism)  # the code of the arm before may have changed it
        weights = read_weights(variant, patient=True)
        digest = None if weights is None else fingerprint.sha256_digest(weights)
        if checks_weights and weights is not None and digest != variant.weights_digest:
            raise VariantError("the weights are not those that the run was opened with", place=variant.weights or "")
        return weights, digest

    def _loaded(self, arm: str, weights: pa.Buffer | None) -> Predictor:
        variant = self._arms[arm].variant
        determinism.seed_all(self._suite.seed)
        inputs = variant.inputs or self._reader.dataset.names("feature")
        return load(variant, inputs=inputs, weights=weights, device=self.device)

    def _timed_in_turn(self) -> PairedTimes | None:
        """The arm beside the control, loaded for as long as that takes; None where no guardrail asks for it."""
        plan = self._suite.plan
        if not plan.num_timed_batches or self.arm == plan.control:
            return None
        assert self._predictor is not None
        control = None
        try:
            weights, _ = self._read_weights(plan.control, checks_weights=True)
            control = self._loaded(plan.control, weights)
            return time_in_turn(
                self.units[0],
                arm=(self._predictor, self.variant),
                control=(control, self._arms[plan.control].variant),
                num_batches=plan.num_timed_batches,
                suite=self._suite,
                reader=self._reader,
            )
        except (DamageError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001  # either variant's code, or too little memory for both
            return PairedTimes(reason=f"the arm and the control could not be timed in turn: {one_line(error)}")
        finally:
            if control is not None:
                control.release()

    def _add_preparation(self, name: str, started: float, cpu_started: float) -> None:
        self._preparation[name] += time.perf_counter() - started
        self._preparation["load_cpu_s"] += time.process_time() - cpu_started
