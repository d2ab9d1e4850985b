"""How innocent arms end without others: once per session."""

import pytest

from tests.cluster.workers import arms


@pytest.fixture(scope="session")
def alone(tmp_path_factory) -> dict[str, str]:
    """The status and the digest of the scores of each innocent arm, run alone in workers of this machine."""
    with pytest.MonkeyPatch.context() as patched:
        experiment = arms.write(tmp_path_factory.mktemp("alone"), arms.INNOCENT, max_slots=1)
        ended = arms.ran(experiment, patched)
    assert arms.left_folders(experiment.parent) == []
    assert {each.split()[0] for each in ended.innocent().values()} == {"complete"}
    return ended.innocent()
