"""Freeze: files of rows become content-addressed shards and one manifest `name@version` that never moves."""

import datetime as dt
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from assay.evaluator.data.check import Check
from assay.evaluator.data.frozen.pipelining import ahead, behind
from assay.evaluator.data.frozen.references import manifest_key, stored_dataset
from assay.evaluator.data.frozen.sampling import SampledStaging
from assay.evaluator.data.frozen.staging import ROUND_ROWS, StagedShard, Staging
from assay.evaluator.data.ingest import Changes, arrow_schema, read_chunks
from assay.evaluator.data.ingest.source import require_source
from assay.evaluator.data.profile.profile import Profiler
from assay.evaluator.errors import DataError, StoreError
from assay.evaluator.fingerprint import schema_digest
from assay.evaluator.storage import Store
from assay.manifests.base import Reference
from assay.manifests.check_report import CheckReport
from assay.manifests.contract import Contract
from assay.manifests.dataset import Dataset, Source


def freeze(
    sources: Sequence[str | Path],
    *,
    contract: Contract,
    reference: str,
    store: Store,
    shard_rows: int | None = None,
) -> Dataset:
    """Checks all rows, then stores them, or the sample of them that the contract asks for, then names them.

    The global order of the rows is the order of the files, then of the rows in each. Nothing reaches the store
    before every row has passed; the manifest is put last, so that a dataset is there whole or not at all. Freezing
    the same rows again under a used name changes nothing.

    Args:
        sources: Files in any of the formats of `ingest`, in order.
        contract: What the rows must be.
        reference: `name@version`.
        store: Where the dataset goes.
        shard_rows: Rows of every shard but the last; None asks for shards of about 64 MiB.

    Returns:
        The dataset, as it is stored.

    Raises:
        DataError: A source cannot be read, a row breaks the contract, or the reference names other rows already.
        StoreError: The store, or the folder for temporary files, cannot be written.
    """
    _require_arguments(sources, reference, shard_rows)
    paths = [Path(source) for source in sources]
    for path in paths:
        require_source(path)
    with _room_for_staging() as folder:
        profiler = Profiler(contract.frozen_columns)
        staging = _staging(folder, contract, shard_rows, on_frozen=profiler.take)
        read, check = _stage(paths, contract, staging)
        staged = staging.finish()
        dataset = Dataset(
            kind="Dataset",
            version=1,
            reference=reference,
            frozen_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            num_rows=staging.num_rows,
            columns=contract.frozen_columns,
            schema_digest=schema_digest(arrow_schema(contract.frozen_columns)),
            rows_digest=staging.rows_digest,
            shard_rows=staging.shard_rows,
            shards=tuple(each.shard for each in staged),
            sources=tuple(read),
            contract=contract,
            check=check,
            profile=profiler.finish(),
            parent=staging.parent,
        )
        return stored_dataset(store, reference, wanted=dataset) or _published(dataset, staged, store)


def _require_arguments(sources: Sequence[str | Path], reference: str, shard_rows: int | None) -> None:
    try:
        TypeAdapter(Reference).validate_python(reference)
    except ValidationError:
        raise DataError(
            "not a name and a version",
            place=reference,
            bound="name@version, each of letters, digits, '_', '.' and '-'",
            remedy="write it like digits@v1",
        ) from None
    if not sources:
        raise DataError("there is nothing to freeze", remedy="name at least one file")
    if shard_rows is not None and shard_rows < 1:
        raise DataError(
            "a shard has rows",
            field="shard_rows",
            value=shard_rows,
            bound=f"at least 1; a multiple of {ROUND_ROWS} suits every common batch size",
        )


@contextmanager
def _room_for_staging() -> Iterator[Path]:
    """A folder for shards that wait until every row has passed; gone afterwards, with what is in it."""
    try:
        with tempfile.TemporaryDirectory(prefix="assay-freeze-") as folder:
            yield Path(folder)
    except OSError as error:
        raise StoreError(
            f"{tempfile.gettempdir()}: rows cannot be kept there until all have passed ({error.strerror or error}); "
            "they need as much room as the shards: set TMPDIR to a folder that has it"
        ) from error


def _staging(
    folder: Path, contract: Contract, shard_rows: int | None, *, on_frozen: Callable[[pa.Table], None]
) -> Staging | SampledStaging:
    columns = contract.frozen_columns
    if contract.sample is None:
        return Staging(folder, columns=columns, shard_rows=shard_rows, on_rows=on_frozen)
    sample = contract.sample
    return SampledStaging(folder, columns=columns, shard_rows=shard_rows, sample=sample, on_kept=on_frozen)


def _stage(
    paths: Sequence[Path], contract: Contract, staging: Staging | SampledStaging
) -> tuple[list[Source], CheckReport]:
    """Reads, checks and stages every row; says what each file gave, and what the check found."""
    check, changes = Check(contract), Changes()
    read: list[Source] = []
    with behind(staging.add) as stage:
        for path in paths:
            with _unchanged(path), _file_digest(path) as digest:
                num_rows = 0
                for chunk in ahead(read_chunks(path, contract=contract, changes=changes)):
                    check.take(chunk)
                    num_rows += chunk.table.num_rows
                    if check.has_passed:
                        stage(chunk.table)
                read.append(Source(name=path.name, sha256=digest.result(), num_rows=num_rows))
    return read, check.finish().model_copy(update={"changes": changes.descriptions()})


@contextmanager
def _file_digest(path: Path) -> Iterator[Future[str]]:
    """The sha256 of a file, made in a thread beside the reading; given up when the reading ends early."""
    is_given_up = Event()

    def digest() -> str:
        sha = hashlib.sha256()
        with path.open("rb") as file:
            while not is_given_up.is_set() and (piece := file.read(1 << 22)):
                sha.update(piece)
        return f"sha256:{sha.hexdigest()}"

    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(digest)
        finally:
            is_given_up.set()


@contextmanager
def _unchanged(path: Path) -> Iterator[None]:
    """Refuses a file that somebody writes to while it is read: digest and rows would be of two files."""

    def state() -> tuple[int, int, int]:
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    before = state()
    yield
    if state() != before:
        raise DataError("the file changed while it was read", place=str(path), remedy="freeze it once it is complete")


def _published(dataset: Dataset, staged: Sequence[StagedShard], store: Store) -> Dataset:
    for each in staged:
        if not store.exists(each.shard.key):
            with pa.memory_map(str(each.path)) as mapped:
                store.put_if_absent(each.shard.key, mapped.read_buffer())
    content = dataset.model_dump_json(indent=2).encode()
    if store.put_if_absent(manifest_key(dataset.reference), content):
        return dataset
    # Somebody else froze under this name in the meantime: theirs stands, if it holds the same rows.
    stored = stored_dataset(store, dataset.reference, wanted=dataset)
    assert stored is not None
    return stored
