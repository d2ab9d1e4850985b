"""Turns an experiment file into an experiment with every digest filled in, checked before any slot is requested."""

import posixpath
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from assay.cluster.prepare import sweep
from assay.cluster.prepare.check_columns import check_columns
from assay.cluster.prepare.user_file import read_text
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.errors import DataError, VariantError
from assay.evaluator.ledger.opening import open_ledger
from assay.evaluator.metrics import custom
from assay.evaluator.predictors import WeightsFiles, code_of, kind_of, weights_files
from assay.evaluator.predictors.entrypoint import add_import_paths
from assay.evaluator.predictors.inputs import check_inputs
from assay.evaluator.predictors.trust import check_entrypoints
from assay.evaluator.process_state.watch import ProcessWatch
from assay.evaluator.provenance.opened_files import opened_by, recording
from assay.evaluator.storage import open_store
from assay.evaluator.storage.file_errors import described, shown
from assay.manifests import Arm, Dataset, Experiment, Metric, Variant, parse
from assay.manifests.code import Code


class Resolved(NamedTuple):
    """An experiment that was checked against everything that it refers to.

    Attributes:
        experiment: The experiment as it is recorded, with every digest filled in.
        dataset: The dataset's manifest.
        weights_bytes: Per arm, the size of its weights in bytes; 0 if it has none.
        code: The code of the arms and scorers, each state once; their `code_digest` says which is whose.
    """

    experiment: Experiment
    dataset: Dataset
    weights_bytes: dict[str, int]
    code: tuple[Code, ...]


def read_experiment(path: str) -> Experiment:
    """Reads an experiment file: referenced manifests are inlined, relative locations are made absolute."""
    parsed = parse(read_text(path), file=str(Path(path).absolute()), kind="Experiment", read=read_text)
    assert isinstance(parsed, Experiment)
    return parsed


def import_paths(path: str) -> tuple[str, ...]:
    """Where an experiment's entrypoints may be imported from: the file's folder and the working directory."""
    return tuple(dict.fromkeys((str(Path(path).absolute().parent), str(Path.cwd()))))


def resolved(experiment: Experiment, paths: tuple[str, ...], *, watch: ProcessWatch | None = None) -> Resolved:
    """Expands the arms of a sweep, checks the experiment against its dataset, and fills in and checks every digest.

    Args:
        experiment: The experiment as read from its file.
        paths: Folders to import entrypoints from.
        watch: Finds what modules change in this process as they are imported, if arms will be scored in it.

    Raises:
        InvalidInput: The dataset, an entrypoint, weights or a column is not what the experiment says, or a folder to
            import from contains a module `assay`.
    """
    experiment = sweep.expanded(experiment)
    location = experiment.dataset
    dataset, store = open_dataset(location)
    if experiment.dataset_digest not in (None, dataset.digest()):
        raise DataError(
            "the dataset does not have the pinned digest",
            place=location,
            field="dataset_digest",
            value=dataset.digest(),
            bound=str(experiment.dataset_digest),
            remedy="name the version with the intended rows, or correct the digest",
        )
    check_columns(experiment, dataset)
    add_import_paths(paths)
    check_entrypoints(experiment.arms, suite=experiment.suite, packages=experiment.packages)
    # The arms of a sweep share code, weights and stores: each is read or opened only once.
    stores, code = cache(open_store), {}

    @cache
    def code_digest_of(entrypoint: str, also: tuple[str, ...] = ()) -> str:
        try:
            state = code_of(entrypoint, also=also, folders=paths)
        except OSError as error:
            place = shown(error.filename or entrypoint)
            raise VariantError(f"cannot be read: {described(error)}", place=place, field="code") from error
        return code.setdefault(state.digest(), state).digest()

    weights_of = cache(lambda locations: weights_files(locations, store_at=stores, uses_cache=True))
    suite = experiment.suite
    metrics = tuple(_resolved_metric(metric, code_digest_of) for metric in suite.metrics)
    suite = suite.model_copy(update={"metrics": metrics})
    arms: list[Arm] = []
    for arm in experiment.arms:
        with _within(f"arm '{arm.name}'"):
            arms.append(_resolved_arm(arm, dataset, code_digest_of=code_digest_of, weights_of=weights_of))
    if watch is not None:
        watch.restart()
    # Nothing is imported before every pinned digest was compared.
    for metric in metrics:
        if metric.scorer is not None:
            with (
                _within(f"metric '{metric.name}'", field="scorer", value=metric.scorer),
                _watching(watch, metric.scorer),
            ):
                custom.check(metric.scorer)
    for arm in arms:
        module = arm.variant.entrypoint.partition(":")[0]
        importing = [each.name for each in arms if each.variant.entrypoint.partition(":")[0] == module]
        with _within(f"arm '{arm.name}'"), _watching(watch, arm.variant.entrypoint, importing):
            _check_entrypoint(arm.variant, paths)
    update = {
        "suite": suite,
        "arms": tuple(arms),
        "dataset": posixpath.join(store.uri, dataset.reference),
        "dataset_digest": dataset.digest(),
        "ledger": open_ledger(experiment.ledger).uri,
    }
    sizes = {
        arm.name: weights_of(arm.variant.weights_locations).size_bytes if arm.variant.weights else 0
        for arm in experiment.arms
    }
    return Resolved(experiment.model_copy(update=update), dataset, sizes, tuple(code.values()))


@contextmanager
def _within(place: str, *, field: str = "", value: str = "") -> Iterator[None]:
    """Names the place, and perhaps the field, of errors that know neither."""
    try:
        yield
    except VariantError as error:
        raise error.within(place, field=field, value=value) from error


@contextmanager
def _watching(watch: ProcessWatch | None, entrypoint: str, arms: Sequence[str] = ()) -> Iterator[None]:
    """Charges what an entrypoint's module changes in this process to the arms that import it."""
    module = entrypoint.partition(":")[0]
    is_new = module not in sys.modules
    yield
    if watch is not None and is_new:
        watch.look(f"importing '{module}'" + (f" for arm '{arms[0]}'" if arms else " for a metric"), arms)


def _resolved_metric(metric: Metric, code_digest_of: Callable[[str], str]) -> Metric:
    """The metric with the digest of its scorer's code filled in, if it has a scorer."""
    if metric.scorer is None:
        return metric
    place = f"metric '{metric.name}'"
    with _within(place, field="scorer", value=metric.scorer):
        digest = code_digest_of(metric.scorer)
    if metric.scorer_digest not in (None, digest):
        raise VariantError(
            "the scorer's code does not have the pinned digest",
            place=place,
            field="scorer_digest",
            value=digest,
            bound=str(metric.scorer_digest),
            remedy="restore the pinned code, or correct the digest",
        )
    return metric.model_copy(update={"scorer_digest": digest})


def _resolved_arm(
    arm: Arm,
    dataset: Dataset,
    *,
    code_digest_of: Callable[[str, tuple[str, ...]], str],
    weights_of: Callable[[tuple[str, ...]], WeightsFiles],
) -> Arm:
    variant = arm.variant
    check_inputs(variant, dataset)
    digests = {"code_digest": code_digest_of(variant.entrypoint, variant.code)}
    if variant.weights is not None:
        digests["weights_digest"] = weights_of(variant.weights_locations).digest
    for field, digest in digests.items():
        pinned = getattr(variant, field)
        if pinned not in (None, digest):
            subject = field.removesuffix("_digest")
            raise VariantError(
                f"the {subject} {'do' if subject == 'weights' else 'does'} not have the pinned digest",
                place=", ".join(variant.weights_locations) if field == "weights_digest" else variant.entrypoint,
                field=field,
                value=digest,
                bound=pinned,
                remedy=f"restore the pinned {subject}, or correct the digest",
            )
    return arm.model_copy(update={"variant": variant.model_copy(update=digests)})


def _check_entrypoint(variant: Variant, paths: tuple[str, ...]) -> None:
    """Imports the entrypoint of a resolved variant and checks the variant against it."""
    with recording(
        opened_by(str(variant.code_digest), paths)
    ):  # slots in this process find the module imported already
        kind_of(variant).check(variant)
