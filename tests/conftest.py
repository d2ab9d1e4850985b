"""One Ray and one S3 server for the whole session, started only if a test uses them."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.seaweed import S3Server, s3_server

if TYPE_CHECKING:
    from assay.cluster.pipeline import Prepared

# No deadline: on a shared machine, a slow example means nothing. In CI, the examples are the same every time.
settings.register_profile("assay", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("assay")

os.environ.update(
    RAY_AUTH_MODE="disabled",  # the cluster is local and used by one session; token mode has its own tests
    RAY_metrics_report_interval_ms="1000",  # Ray's default is 10 s, for which tests would have to wait
    RAY_prestart_worker_first_driver="false",  # otherwise Ray starts one worker per CPU, which no slot uses
    RAY_worker_niceness="0",  # Ray's default of 15 starves workers while other tests run
)

_NUM_LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--all`, which also runs the tests that are marked `extended`."""
    parser.addoption("--all", action="store_true", help="also run the tests that are marked 'extended'")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves extended tests out, except with `--all`, and groups the tests for pytest-xdist.

    Tests that need Ray run one after the other in one of the processes that `scripts/test.sh` starts, and so do tests
    that fork processes. The other tests go file by file to any free process. Tests that need Ray come first, because
    they wait more than they work.
    """
    if not config.getoption("all"):
        left_out = [item for item in items if item.get_closest_marker("extended")]
        items[:] = [item for item in items if not item.get_closest_marker("extended")]
        config.stash[_NUM_LEFT_OUT] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


def _group(item: pytest.Item) -> str:
    if item.get_closest_marker("ray"):
        return "ray"
    return "forked" if item.get_closest_marker("forked") else item.location[0]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Sends the number of tests that a worker of pytest-xdist left out to the process that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["num_left_out"] = session.config.stash.get(_NUM_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receives that number from a worker; all workers leave out the same tests."""
    node.config.stash[_NUM_LEFT_OUT] = getattr(node, "workeroutput", {}).get("num_left_out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints how many tests were left out."""
    num_left_out = config.stash.get(_NUM_LEFT_OUT, 0)
    if num_left_out:
        terminalreporter.write_line(
            f"left out: {num_left_out} extended tests (simulations, chaos schedules); scripts/test.sh --all runs them"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Stops if pytest-xdist has not seen the groups: it would ignore them silently."""
    if node.config.getoption("dist") == "loadgroup" and not all("@" in each for each in ids):
        raise pytest.UsageError(
            "pytest-xdist does not see the groups of the tests; install the versions of pytest and pytest-xdist that "
            "scripts/constraints.txt pins"
        )


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A local Ray with two CPUs, which every later `connected()` joins."""
    from assay.cluster.on_ray.session import connected

    with connected(num_cpus=2):
        yield


@pytest.fixture(scope="session")
def run_on_ray(tmp_path_factory, local_ray: None) -> "Prepared":
    """The small experiment of `builders`, with prices, run on one slot of the local Ray."""
    from assay.cluster import pipeline
    from tests import builders

    experiment = builders.write_experiment(
        tmp_path_factory.mktemp("on-ray"), resources={"max_slots": 1}, prices={"cpu_hour": 36000.0}
    )
    prepared = pipeline.prepare(str(experiment))
    pipeline.run(prepared, in_process=False, on_progress=lambda arm, units: None)
    return prepared


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server; boto3 finds it through environment variables for the rest of the session."""
    with s3_server() as server:
        before = dict(os.environ)
        os.environ.update(server.variables)
        yield server
        for name in server.variables:
            os.environ.pop(name)
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _no_bare_names() -> Iterator[None]:
    """Fails if Assay was imported without `assay.`; unlike the linter, this also catches names in strings."""
    yield
    bare = {"cluster", "evaluator", "manifests", "stats"} & sys.modules.keys()
    assert not bare, f"these modules were imported without 'assay.': {sorted(bare)}"


@pytest.fixture(autouse=True)
def _own_variants() -> Iterator[None]:
    """Removes the module `variants_under_test` after each test: each test has its own."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop("variants_under_test", None)
