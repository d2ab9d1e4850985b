"""The demo's folder: manifests, weights and rows, ready to freeze and run."""

import secrets
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from assay.cluster.demo import digits
from assay.evaluator.storage.file_errors import file_errors

_MANIFESTS = ("contract.yaml", "suite.yaml", "experiment.yaml")
_FOLDERS = ("variants", "weights")


def write_demo(folder: str | Path) -> Path:
    """Writes the demo's manifests, weights and rows (`digits.parquet`) to a folder.

    Existing files are never overwritten: the user may have edited them.

    Args:
        folder: The folder; created if it does not exist.

    Returns:
        The path of `experiment.yaml` in it.

    Raises:
        InvalidInput: scikit-learn, which provides the digits, is not installed.
        StoreError: The folder cannot be written.
    """
    folder = Path(folder)
    with file_errors("written", folder):
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "digits.parquet"
        if not source.exists():
            digits.write_source(source)
        for name, packaged in _packaged():
            target = folder / name
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
                temporary.write_bytes(packaged.read_bytes())
                temporary.replace(target)
    return folder / "experiment.yaml"


def _packaged() -> Iterator[tuple[str, Traversable]]:
    """The package's demo files. The experiment comes last: where it exists, everything it refers to exists too."""
    top = resources.files("assay.cluster.demo")
    for name in _FOLDERS:
        for file in sorted(top.joinpath(name).iterdir(), key=lambda each: each.name):
            yield f"{name}/{file.name}", file
    for name in _MANIFESTS:
        yield name, top.joinpath(name)
