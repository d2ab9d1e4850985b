"""Lineage: where a run came from, captured before its first unit and compared with what is found later."""

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assay.evaluator.errors import SourceError
from assay.evaluator.provenance import environment, repository
from assay.manifests import Experiment
from assay.manifests.environment_variables import SUBMITTER_VARIABLE
from assay.manifests.run import Lineage
from assay.manifests.verification import Change

_SAID_BETTER = ("num_packages", "packages_digest", "num_threads", "num_interop_threads")  # by packages, and by slots


def captured(experiment: Experiment, *, import_paths: Sequence[str], executor: str | None = None) -> Lineage:
    """What is found now, around this process and in the folder that it works in.

    Args:
        experiment: Whose ledger and dataset are no part of the source.
        import_paths: Where entrypoints may be imported from.
        executor: Where slots live; None if that is not known yet.
    """
    found = environment.capture()
    circumstance = {
        **found.circumstance,
        "packages": dict(found.packages),
        "source": asdict(repository.capture(without=stores_of(experiment))),
        "import_paths": list(import_paths),
        "executor": executor,
        "submitted_by": os.environ.get(SUBMITTER_VARIABLE) or _user(),
    }
    return Lineage(identity=dict(found.identity), circumstance=json.loads(json.dumps(circumstance)))


def stores_of(experiment: Experiment) -> list[str]:
    """The folders that a run reads its dataset from and writes to, if they are folders."""
    stores = (experiment.ledger, experiment.dataset.rpartition("/")[0])
    return [each for each in stores if each and "://" not in each]


def check_clean(lineage: Lineage) -> None:
    """Checks that code came from a repository without uncommitted changes.

    Raises:
        SourceError: It did not, or nobody can tell.
    """
    found: Any = lineage.circumstance["source"]
    if found["is_dirty"] is not False:
        raise SourceError(
            f"require_clean: {found['problem'] or 'there are uncommitted changes'} (commit {found['commit']}); "
            "commit or stash what 'git status' shows, or take 'require_clean' out of the experiment"
        )


def changes(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields that differ between two flat mappings, in the order of the names. A field that one lacks is null there."""
    return tuple(
        Change(field=name, recorded=recorded.get(name), now=now.get(name))
        for name in sorted({*recorded, *now})
        if recorded.get(name) != now.get(name)
    )


def plain(lineage: Lineage) -> dict[str, Any]:
    """A lineage's circumstances with everything once: a digest of packages says less than the packages do."""
    found: dict[str, Any] = {name: value for name, value in lineage.circumstance.items() if name not in _SAID_BETTER}
    found["packages"] = {name: version for name, version in found["packages"].items() if name not in lineage.identity}
    return found


def _user() -> str | None:
    """The user's name, where this process has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has none
        return None
