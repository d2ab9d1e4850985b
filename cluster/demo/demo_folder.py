"""The demo's folder: manifests, weights and rows, ready to be frozen and run."""

import secrets
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from assay.cluster.demo import digits

_MANIFESTS = ("contract.yaml", "suite.yaml", "experiment.yaml")
_FOLDERS = ("variants", "weights")


def write_demo(folder: str | Path) -> Path:
    """Fills a folder with the demo's manifests, weights and rows (`digits.parquet`).

    What is already there stays as it is: it may be the user's by now, and a second call changes nothing.

    Args:
        folder: Made if it is not there.

    Returns:
        The path of `experiment.yaml` in it.

    Raises:
        InvalidInput: scikit-learn, which carries the digits, is not installed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "digits.parquet"
    if not source.exists():
        digits.write_source(source)
    for name, packaged in _packaged():
        target = folder / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
            aside.write_bytes(packaged.read_bytes())
            aside.replace(target)
    return folder / "experiment.yaml"


def _packaged() -> Iterator[tuple[str, Traversable]]:
    """Every file that comes with the package, the experiment last: where it lies, all that it names is there too."""
    top = resources.files("assay.cluster.demo")
    for name in _FOLDERS:
        for file in sorted(top.joinpath(name).iterdir(), key=lambda each: each.name):
            yield f"{name}/{file.name}", file
    for name in _MANIFESTS:
        yield name, top.joinpath(name)
