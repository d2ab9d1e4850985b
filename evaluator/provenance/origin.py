"""Origin of a module: Python itself, Assay, an installed distribution, or the user's own tree."""

from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Literal

from assay.evaluator.provenance.code_files import assays_folders, is_in_library, is_installed
from assay.evaluator.provenance.distributions import owner
from assay.evaluator.provenance.module_spec import module_file

Origin = Literal["python", "assay", "installed", "own"]


def origin_of(spec: ModuleSpec) -> Origin:
    """Where a module comes from, by its file, whatever its name is and whichever links lead to it.

    A file is installed if it is in a folder that packages are installed into (`site-packages`, `dist-packages`), or if
    a distribution beside it lists it, as after `pip install --target`. What is neither Python's, Assay's nor installed
    is the user's own: modules beside the experiment, a `src/` folder on the path, editable installs.
    """
    if spec.origin in ("built-in", "frozen"):
        return "python"
    file = module_file(spec)
    if file is None:  # a namespace package, or in a zip file
        return "own"
    forms = (file, file.resolve())
    if spec.name.partition(".")[0] == "assay" or any(forms[1].is_relative_to(folder) for folder in assays_folders()):
        return "assay"
    if is_in_library(file):
        return "python"
    if any(map(is_installed, forms)) or any(_is_listed_beside(form, spec) for form in forms):
        return "installed"
    return "own"


def _is_listed_beside(file: Path, spec: ModuleSpec) -> bool:
    """Whether a distribution in the folder that a module is imported from lists the module's file."""
    depth = spec.name.count(".") + (spec.submodule_search_locations is not None)
    if depth >= len(file.parents):
        return False
    beside = metadata.distributions(path=[str(file.parents[depth])])
    return owner(file, (each for each in beside if each.read_text("RECORD") is not None)) is not None
