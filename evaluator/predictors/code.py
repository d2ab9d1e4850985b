"""Code of an entrypoint: the modules that it imports, the packages beyond them, and the files that a variant names."""

import re
from collections.abc import Sequence
from pathlib import Path

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import check_module
from assay.evaluator.provenance.code_files import code_file_digest, files_under, name_under
from assay.evaluator.provenance.import_closure import import_closure
from assay.evaluator.provenance.module_spec import module_spec
from assay.manifests.code import Code
from assay.manifests.errors import did_you_mean

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def code_of(entrypoint: str, *, also: Sequence[str] = (), folders: Sequence[str] = ()) -> Code:
    """Reads the code of an entrypoint without running any of it.

    Args:
        entrypoint: `module:function`.
        also: What it depends on but does not import: names of modules, and files, folders or globs relative to one of the folders.
        folders: Where `also` is looked for, such as the folder of the experiment.

    Raises:
        VariantError: The module does not exist or has no source file, or an entry of `also` matches nothing.
    """
    module_name = check_module(entrypoint)
    modules, files = [], {}
    for entry in also:
        found = _files(entry, folders)
        files |= found
        if not found:
            modules.append(_existing_module(entry, folders))
    closure = import_closure(module_name, *modules)
    return closure.model_copy(update={"files": dict(sorted(files.items()))})


def _files(entry: str, folders: Sequence[str]) -> dict[str, str]:
    """The digests of the files that an entry of `code` matches in the first folder that has any; none if it is a module."""
    for folder in map(Path, folders):
        files = [file for match in _matches(folder, entry) for file in _files_in(match)]
        if files:
            return {name_under(file, [folder]): code_file_digest(file) for file in files}
    return {}


def _matches(folder: Path, entry: str) -> list[Path]:
    if (folder / entry).exists():
        return [folder / entry]
    return [] if Path(entry).is_absolute() else sorted(folder.glob(entry))


def _files_in(path: Path) -> list[Path]:
    return files_under(path) if path.is_dir() else [path] if path.is_file() else []  # a pipe may never end


def _existing_module(entry: str, folders: Sequence[str]) -> str:
    if _MODULE.fullmatch(entry) and module_spec(entry) is not None:
        return entry
    nearby = [path.name for folder in folders if Path(folder).is_dir() for path in Path(folder).iterdir()]
    near = did_you_mean(entry, nearby)
    raise VariantError(
        "no module and no file of that name",
        field="code",
        value=entry,
        remedy=near if near.startswith("did you mean") else "paths are relative to the folder of the experiment's file",
    )
