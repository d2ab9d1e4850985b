"""Loads one arm's variant at a time, probes and times it, and scores units with it. Publishes nothing."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from assay.cluster.drive.task_result import one_line
from assay.evaluator import batches, determinism, process
from assay.evaluator.batches import Unit
from assay.evaluator.conditions import Conditions
from assay.evaluator.data.frozen.shard_cache import ShardCache
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.errors import DamageError, StoreError, VariantError
from assay.evaluator.evaluate import evaluate
from assay.evaluator.ledger.receipt import Footprint, Preparation
from assay.evaluator.predictors import (
    Predictor,
    WeightsFiles,
    device_class,
    kind_of,
    peak_memory_bytes,
    pick_device,
    reset_peak_memory,
)
from assay.evaluator.predictors.entrypoint import add_import_paths
from assay.evaluator.predictors.trust import check_entrypoints
from assay.evaluator.probes.batch_size import probe
from assay.evaluator.probes.latency import BatchTimer, time_in_turn
from assay.evaluator.process_state.watch import ProcessWatch
from assay.evaluator.provenance import environment, lineage
from assay.evaluator.provenance.opened_files import OpenedFiles, digests, opened_by, recording
from assay.evaluator.results import BatchSizeSensitivity, PairedTimes, UnitResult
from assay.evaluator.storage import open_store
from assay.evaluator.storage.file_errors import file_errors
from assay.manifests import Variant
from assay.manifests.ledger_layout import LAYOUT
from assay.manifests.run import Run


class ArmScorer:
    """A run's dataset, device and environment in this process, with at most one arm loaded.

    Attributes:
        run: The opened run.
        units: The dataset's units.
        first_batches: The rows that arms are probed and timed with.
        device: The device that variants run on.
        environment: Package versions and the host.
        arm: The loaded arm; empty before the first load and after a failed one.
        cpu_clock: Says how many CPU seconds this process has used for scoring.
        paired_times: Times of the arm's and the control's batches, measured in turn; None if no guardrail needs them.
        timer_of_control: Has the control loaded while its context is entered, and gives the seconds of its next batch. By
            default it is loaded in this process, beside the arm.
    """

    def __init__(self, run: Run, import_paths: Sequence[str], *, watch: ProcessWatch | None = None) -> None:
        """Opens the dataset and applies the suite's determinism settings to the process; loads no arm yet.

        Args:
            run: The opened run.
            import_paths: Folders that entrypoints may be imported from, in addition to the installed packages.
            watch: Finds what arms change in this process, if several share it; None: each has a process of its own.
        """
        add_import_paths(import_paths)
        self._import_paths = tuple(import_paths)
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
        self.units = batches.units(dataset.num_rows, batch_size=self._suite.batch_size)
        self.first_batches = batches.first_batches(dataset.num_rows, batch_size=self._suite.batch_size)
        self.environment = environment.capture()
        self.arm = ""
        self.cpu_clock: Callable[[], float] = time.process_time
        self.paired_times: PairedTimes | None = None
        self.timer_of_control: Callable[[], AbstractContextManager[Callable[[], float]]] = self._control_here
        self._predictor: Predictor | None = None
        self._sensitivity: BatchSizeSensitivity | None = None
        self._weights: WeightsFiles | None = None
        self._copies: Path | None = None
        self._opened_files: dict[str, str] | None = None
        self._preparation = Preparation()
        self._watch, self._watched_arm = watch, ""
        if watch is not None:
            watch.restart()

    def prefetch(self, indices: Iterable[int]) -> None:
        """Starts fetching the shards of these units in the background."""
        for index in indices:
            self._reader.prefetch(self.units[index].first_row, self.units[index].num_rows)

    def load(self, arm: str, *, checks_weights: bool = True) -> None:
        """Releases the loaded arm and loads another.

        Args:
            arm: The arm's name.
            checks_weights: Whether the weights must have the digest that the run recorded.

        Raises:
            VariantError: The weights have changed since the run was opened, or the experiment may not name the code.
        """
        if self._predictor is not None:
            self._predictor.release()
        self.arm, self._predictor, self._sensitivity = "", None, None
        started, cpu_started = time.perf_counter(), time.process_time()
        self._remove_copies()
        self._weights = self._read_weights(arm, checks_weights=checks_weights)
        self._look(next_arm=arm)
        self._opened_files = None
        with recording(self._opened_by(self._arms[arm].variant)):
            self._predictor = self._loaded(arm, self._weights)
        self.arm = arm
        self._add_preparation("load_s", started, cpu_started)

    def probe(self, *, times_control: bool = True) -> BatchSizeSensitivity:
        """The batch-size sensitivity of the loaded arm; measured once per load.

        Args:
            times_control: Whether to time the arm against the control as well, if the plan has a latency guardrail.
        """
        assert self._predictor is not None
        if self._sensitivity is None:
            started, cpu_started = time.perf_counter(), time.process_time()
            self.paired_times = self._timed_in_turn() if times_control else None
            self._add_preparation("timing_s", started, cpu_started)
            started, cpu_started = time.perf_counter(), time.process_time()
            reset_peak_memory(self.device)
            with recording(self._opened_by(self.variant)):
                self._sensitivity = probe(
                    self.first_batches,
                    predictor=self._predictor,
                    variant=self.variant,
                    suite=self._suite,
                    reader=self._reader,
                )
            self._add_preparation("probe_s", started, cpu_started)
        return self._sensitivity

    def read(self, unit: Unit) -> None:
        """Reads a unit's rows.

        Raises:
            DamageError: A shard is missing or differs from what was frozen.
        """
        self._reader.rows(unit.first_row, unit.num_rows)

    def score(self, unit: Unit) -> UnitResult:
        """Scores a unit's rows with the loaded arm."""
        assert self._predictor is not None
        return evaluate(
            unit,
            predictor=self._predictor,
            variant=self.variant,
            suite=self._suite,
            reader=self._reader,
            cpu_clock=self.cpu_clock,
        )

    @property
    def variant(self) -> Variant:
        """The loaded arm's variant."""
        return self._arms[self.arm].variant

    def take_preparation(self) -> Preparation:
        """What was spent on loading, timing and probing since the last call; it is recorded with the next unit."""
        preparation, self._preparation = self._preparation, Preparation()
        return preparation

    def conditions(self) -> Conditions:
        """The conditions in this process. Call it after loading: a variant's code may change determinism flags."""
        resources = self.run.experiment.resources
        return Conditions(
            host=str(self.environment.circumstance["host"]),
            cpu=str(self.environment.circumstance["cpu"]),
            device=self.device.type,
            device_class=device_class(self.device),
            num_cpus=resources.num_cpus,
            num_gpus=resources.num_gpus,
            accelerator_type=self._arms[self.arm].accelerator_type or "",
            environment_digest=self.environment.identity_digest,
            environment=dict(self.environment.identity),
            determinism=determinism.flags_in_force(),
        )

    def opened_files(self) -> dict[str, str]:
        """The sha256 of each file that the loaded arm's code has opened itself until it was probed, by its name."""
        if self._opened_files is None:
            variants = (arm.variant for arm in self._arms.values())
            alike = (each for each in variants if each.code_digest == self.variant.code_digest)
            weights = [location for each in alike for location in each.weights_locations if "://" not in location]
            stores = [
                str(Path(store, part))
                for store in lineage.stores_of(self.run.experiment)
                for part in ("objects", LAYOUT)
            ]
            caches = [str(self._reader.folder), *([] if self._copies is None else [str(self._copies)])]
            self._opened_files = digests(
                self._opened_by(self.variant),
                without=[*stores, *caches, *weights],
                relative_to=self._import_paths,
            )
        return self._opened_files

    def _opened_by(self, variant: Variant) -> OpenedFiles:
        return opened_by(str(variant.code_digest), self._import_paths)

    def footprint(self) -> Footprint:
        """The size of the loaded variant."""
        assert self._predictor is not None
        return Footprint(
            weights_bytes=None if self._weights is None else self._weights.size_bytes,
            num_parameters=self._predictor.num_parameters,
            peak_memory_bytes=peak_memory_bytes(self.device),
        )

    @property
    def cache_problem(self) -> str:
        """Why the host's other slots cannot share this slot's shards; empty if they can."""
        return self._reader.problem

    def close(self) -> None:
        """Releases files and locks that the process would otherwise keep."""
        self._reader.close()
        self._remove_copies()
        self._look(next_arm="")

    def altered_by(self, arm: str) -> str:
        """What others have changed in this process before an arm is scored now; empty: nothing."""
        if self._watch is None or not self._watch.changes:
            return ""
        digests = {self._arms[arm].variant.code_digest, *(metric.scorer_digest for metric in self._suite.metrics)}
        modules = {name for code in self.run.code if code.digest() in digests for name in code.modules}
        return self._watch.altered_by(arm, modules)

    def _look(self, *, next_arm: str) -> None:
        """Charges what has changed in this process to the arm whose code has run since the last look."""
        if self._watch is not None and self._watched_arm:
            self._watch.look(f"arm '{self._watched_arm}'", [self._watched_arm])
        self._watched_arm = next_arm

    @property
    def weights_digest(self) -> str | None:
        """The digest of the loaded arm's weights as they were read; None if it has none."""
        return None if self._weights is None else self._weights.digest

    @property
    def import_paths(self) -> Sequence[str]:
        """The folders that entrypoints and a variant's `code` may come from."""
        return self._import_paths

    def _read_weights(self, arm: str, *, checks_weights: bool) -> WeightsFiles | None:
        variant = self._arms[arm].variant
        determinism.apply(self._suite.determinism)  # the previous arm's code may have changed the flags
        if not variant.weights_locations:
            return None
        if self._copies is None:
            with file_errors("written", tempfile.gettempdir()):
                self._copies = Path(tempfile.mkdtemp(prefix="assay-weights-"))
        store_at = partial(open_store, patient=True)
        files = kind_of(variant).read_weights(variant, store_at=store_at, copies=self._copies / arm)
        if checks_weights and files.digest != variant.weights_digest:
            raise VariantError(
                "the weights have changed since the run was opened",
                place=", ".join(variant.weights_locations),
                field="weights_digest",
                value=files.digest,
                bound=str(variant.weights_digest),
                remedy="restore the file, or start a new run with the changed weights",
            )
        return files

    def _loaded(self, arm: str, weights: WeightsFiles | None) -> Predictor:
        variant = self._arms[arm].variant
        # Again, because the run's record comes from where others may write.
        check_entrypoints([self._arms[arm]], suite=self._suite, packages=self.run.experiment.packages)
        determinism.seed_all(self._suite.seed)
        inputs = variant.inputs or self._reader.dataset.names("feature")
        return kind_of(variant).load(variant, inputs=inputs, weights=weights, device=self.device)

    def _remove_copies(self) -> None:
        """Removes the copies of weights that were in a bucket."""
        if self._copies is not None:
            shutil.rmtree(self._copies, ignore_errors=True)
            self._copies = None

    def _timed_in_turn(self) -> PairedTimes | None:
        """Times the arm against the control; None if no guardrail needs it."""
        plan = self._suite.plan
        if not plan.num_timed_batches or self.arm == plan.control:
            return None
        try:
            with self.timer_of_control() as control:
                return time_in_turn(self.timer().seconds, control, num_batches=plan.num_timed_batches)
        except (DamageError, StoreError):
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # raised by a variant's code, or for lack of memory for both
            return PairedTimes(reason=f"the arm and the control could not be timed together: {one_line(error)}")

    def timer(self) -> BatchTimer:
        """Times batches of the loaded arm.

        Raises:
            PredictionError: It fails on a batch.
        """
        return self._timer(self._predictor, self.variant)

    @contextmanager
    def _control_here(self) -> Iterator[Callable[[], float]]:
        name = self._suite.plan.control
        control = None
        try:
            weights = self._read_weights(name, checks_weights=True)
            self._look(next_arm=name)
            control = self._loaded(name, weights)
            self._look(next_arm=self.arm)
            yield self._timer(control, self._arms[name].variant).seconds
        finally:
            if control is not None:
                control.release()
            if self._watched_arm != self.arm:
                self._look(next_arm=self.arm)

    def _timer(self, predictor: Predictor | None, variant: Variant) -> BatchTimer:
        assert predictor is not None
        return BatchTimer(
            self.first_batches, predictor=predictor, variant=variant, suite=self._suite, reader=self._reader
        )

    def _add_preparation(self, name: str, started: float, cpu_started: float) -> None:
        before = self._preparation
        spent_s, spent_cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
        more = {name: getattr(before, name) + spent_s, "load_cpu_s": before.load_cpu_s + spent_cpu_s}
        self._preparation = replace(before, **more)
