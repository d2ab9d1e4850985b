"""One Ray for the whole session, started only if a test asks for it."""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ["RAY_AUTH_MODE"] = "disabled"  # one machine, one test session; token mode has tests of its own


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A local Ray with two CPUs that every later `connected()` joins."""
    from cluster.session import connected

    with connected(num_cpus=2):
        yield


@pytest.fixture(autouse=True)
def _own_variants() -> Iterator[None]:
    """Each test brings its own `variants_under_test` module; none may see another's."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop("variants_under_test", None)
