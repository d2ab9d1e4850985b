"""Freeze: stores files of rows as content-addressed shards and one immutable manifest, `name@version`."""

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
from assay.evaluator.data.ingest.source import require_source, unreadable
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
    """Checks all rows, stores them, or the sample of them that the contract defines, and then the manifest.

    The global order of the rows is the order of the files, then of the rows in each. Nothing is written to the store
    before every row has passed; the manifest is written last, so a dataset is either complete or absent. Freezing
    the same rows again under the same name changes nothing.

    Args:
        sources: Files in any of the formats of `ingest`, in order.
        contract: The columns, and the rules for the rows.
        reference: `name@version`.
        store: The store that the dataset is written to.
        shard_rows: Rows in every shard but the last; None: shards of about 64 MiB.

    Returns:
        The dataset, as it is stored.

    Raises:
        DataError: A source cannot be read, a row violates the contract, or the reference already names other rows.
        StoreError: The store or the folder for temporary files cannot be written.
    """
    _require_arguments(sources, reference, shard_rows)
    paths = [Path(source) for source in sources]
    for path in paths:
        require_source(path)
    with _staging_folder() as folder:
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
            "not a valid name and version",
            place=reference,
            bound="name@version, each made of letters, digits, '_', '.' and '-'",
            remedy="for example digits@v1",
        ) from None
    if not sources:
        raise DataError("there is nothing to freeze", remedy="name at least one file")
    if shard_rows is not None and shard_rows < 1:
        raise DataError(
            "a shard needs at least one row",
            field="shard_rows",
            value=shard_rows,
            bound=f"at least 1; a multiple of {ROUND_ROWS} fits all common batch sizes",
        )


@contextmanager
def _staging_folder() -> Iterator[Path]:
    """A temporary folder for shards until every row has passed; removed afterwards."""
    try:
        with tempfile.TemporaryDirectory(prefix="assay-freeze-") as folder:
            yield Path(folder)
    except OSError as error:
        raise StoreError(
            f"{tempfile.gettempdir()}: cannot write the shards there before they are stored ({error.strerror or error}); "
            "set TMPDIR to a folder with enough space for the whole dataset"
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
    """Reads, checks and stages every row; returns what each file contained, and the check's report."""
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
    """The sha256 of a file, computed in a thread while the file is read; cancelled if reading ends early."""
    is_cancelled = Event()

    def digest() -> str:
        sha = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while not is_cancelled.is_set() and (piece := file.read(1 << 22)):
                    sha.update(piece)
        except OSError as error:
            raise unreadable(path, error) from error
        return f"sha256:{sha.hexdigest()}"

    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(digest)
        finally:
            is_cancelled.set()


@contextmanager
def _unchanged(path: Path) -> Iterator[None]:
    """Refuses a file that changes while it is read: digest and rows would not belong together."""

    def state() -> tuple[int, int, int]:
        try:
            stat = path.stat()
        except OSError as error:
            raise unreadable(path, error) from error
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

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
    # Another process froze under this name in the meantime: its dataset stands, if it has the same rows.
    stored = stored_dataset(store, dataset.reference, wanted=dataset)
    assert stored is not None
    return stored
