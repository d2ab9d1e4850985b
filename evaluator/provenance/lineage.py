"""Lineage: where a run came from. It is captured before the run's first unit and can be compared later."""

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assay.evaluator.errors import SourceError
from assay.evaluator.provenance import environment, repository
from assay.manifests import Experiment, plain_text
from assay.manifests.environment_variables import SUBMITTER_VARIABLE
from assay.manifests.run import Lineage
from assay.manifests.verification import Change

_REDUNDANT = ("num_packages", "packages_digest", "num_threads", "num_interop_threads")
"""Facts that the list of packages and the flags of the slots give in more detail."""


def captured(experiment: Experiment, *, import_paths: Sequence[str], executor: str | None = None) -> Lineage:
    """Captures the environment of this process and the repository of its working folder.

    Args:
        experiment: The experiment; the folders of its ledger and its dataset are not part of the source.
        import_paths: The folders from which entrypoints are imported.
        executor: Where the slots run; None if that is not known yet.
    """
    environment_now = environment.capture()
    circumstance = {
        **environment_now.circumstance,
        "packages": dict(environment_now.packages),
        "source": asdict(repository.capture(without=stores_of(experiment))),
        "import_paths": list(import_paths),
        "executor": executor,
        "submitted_by": os.environ.get(SUBMITTER_VARIABLE) or _user(),
    }
    return Lineage(identity=dict(environment_now.identity), circumstance=json.loads(json.dumps(_plain(circumstance))))


def stores_of(experiment: Experiment) -> list[str]:
    """The stores of an experiment's ledger and dataset that are folders."""
    stores = (experiment.ledger, experiment.dataset.rpartition("/")[0])
    return [each for each in stores if each and "://" not in each]


def check_clean(lineage: Lineage) -> None:
    """Checks that the code came from a repository without uncommitted changes.

    Raises:
        SourceError: There are uncommitted changes, or the repository's state is unknown.
    """
    source: Any = lineage.circumstance["source"]
    if source["is_dirty"] is not False:
        raise SourceError(
            f"require_clean: {source['problem'] or 'there are uncommitted changes'} (commit {source['commit']}); "
            "commit or stash what 'git status' shows, or remove 'require_clean' from the experiment"
        )


def changes(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields that differ between two flat mappings, sorted by name. A missing field counts as null."""
    return tuple(
        Change(field=name, recorded=recorded.get(name), now=now.get(name))
        for name in sorted({*recorded, *now})
        if recorded.get(name) != now.get(name)
    )


def plain(lineage: Lineage) -> dict[str, Any]:
    """A lineage's circumstances without redundant facts and without the packages that its identity includes."""
    facts: dict[str, Any] = {name: value for name, value in lineage.circumstance.items() if name not in _REDUNDANT}
    facts["packages"] = {name: version for name, version in facts["packages"].items() if name not in lineage.identity}
    return facts


def _plain(value: Any) -> Any:
    """The value with every text in it made plain: names of branches and folders, and variables of the environment."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return plain_text.plain(value) if isinstance(value, str) else value


def _user() -> str | None:
    """The name of the user who runs this process; None if the user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user of a container often has no name
        return None
