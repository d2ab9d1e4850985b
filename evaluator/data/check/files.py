"""Check files: checks files of rows against a contract, without freezing them."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from assay.evaluator.data.check.check import Check
from assay.evaluator.data.check.refusal import ContractBroken
from assay.evaluator.data.ingest import Changes, read_chunks
from assay.evaluator.data.ingest.source import require_source
from assay.evaluator.errors import DataError, StoreError
from assay.manifests.check_report import CheckReport
from assay.manifests.contract import Contract


def check_files(
    sources: Sequence[str | Path], *, contract: Contract, on_bytes: Callable[[int], None] = lambda _: None
) -> CheckReport:
    """Streams files and applies every rule of a contract to their rows.

    Args:
        sources: Files in any of the formats of `ingest`, in order.
        contract: What rows must satisfy.
        on_bytes: Called after each chunk with the approximate number of bytes read of all files; for a progress bar.

    Returns:
        The outcome of every rule, whether or not any is violated.

    Raises:
        DataError: A source cannot be read, or the contract cannot be used.
        StoreError: The folder for temporary files cannot be written.
    """
    if not sources:
        raise DataError("there is nothing to check", remedy="name at least one file")
    paths = [Path(source) for source in sources]
    for path in paths:
        require_source(path)
    changes = Changes()
    try:
        check, before = Check(contract), 0
        for path in paths:
            on_file_bytes = partial(_after, before, on_bytes)
            for chunk in read_chunks(path, contract=contract, changes=changes, on_bytes=on_file_bytes):
                check.take(chunk)
            before += path.stat().st_size
        report = check.finish()
    except ContractBroken as broken:
        report = broken.report
    except OSError as error:
        raise StoreError(
            f"{tempfile.gettempdir()}: cannot write the temporary files of the check ({error.strerror or error}); "
            "set TMPDIR to a folder with enough space"
        ) from error
    return report.model_copy(update={"changes": changes.descriptions()})


def _after(before: int, on_bytes: Callable[[int], None], num_bytes: int) -> None:
    on_bytes(before + num_bytes)
