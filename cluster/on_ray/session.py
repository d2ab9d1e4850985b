"""Connects to Ray: to the cluster that `RAY_ADDRESS` names, or, if that is `local`, to one started for this process."""

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from assay.cluster.errors import RunError

_START_ATTEMPTS = 2  # on a loaded machine, Ray's start may time out; a second attempt mostly succeeds


def has_cluster() -> bool:
    """Whether this process is to use Ray: it is connected already, or `RAY_ADDRESS` names a cluster."""
    return bool(os.environ.get("RAY_ADDRESS")) or ("ray" in sys.modules and sys.modules["ray"].is_initialized())


def secure() -> None:
    """Sets how this process authenticates to Ray. Call it before Ray is imported, because Ray reads this only once.

    Turns token authentication on unless `RAY_AUTH_MODE` is set: without it, anyone on the network can run code on the
    cluster. A local cluster gets a random token that lives as long as this process.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token" and os.environ.get("RAY_ADDRESS", "local") == "local":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def connected(*, num_cpus: int | None = None) -> Iterator[bool]:
    """Uses this process's connection to Ray or the cluster of `RAY_ADDRESS`.

    If that is `local` or unset, it starts a local Ray and ends it afterwards.

    Args:
        num_cpus: CPUs of a local Ray; None: all CPUs of the machine.

    Yields:
        Whether Ray is a local one that was started here.

    Raises:
        RunError: Ray could not be reached or started.
    """
    secure()
    import ray

    if ray.is_initialized():
        yield False
        return
    address = os.environ.get("RAY_ADDRESS", "local")
    is_own = address == "local"
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            if is_own:
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    log_to_driver=False,
                    include_dashboard=False,
                    logging_level=logging.ERROR,
                )
            else:
                ray.init(address=address, log_to_driver=False)
            break
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                where = "start a local Ray" if is_own else f"reach Ray at {address}"
                raise RunError(f"cannot {where}: {error}; unset RAY_ADDRESS to run without Ray") from error
    try:
        yield is_own
    finally:
        ray.shutdown()
