"""Connects to Ray: to the cluster that `RAY_ADDRESS` names, or to a local one started for this process."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from assay.cluster.errors import RunError

_START_ATTEMPTS = 2  # on a loaded machine, Ray's start may time out; a second attempt mostly succeeds


def secure() -> None:
    """Sets how this process authenticates to Ray. Call it before Ray is imported, because Ray reads this only once.

    Turns token authentication on unless `RAY_AUTH_MODE` is set: without it, anyone on the network can run code on the
    cluster. A local cluster gets a random token that lives as long as this process.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token" and not os.environ.get("RAY_ADDRESS"):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def connected(*, num_cpus: int | None = None) -> Iterator[bool]:
    """Uses this process's connection to Ray or the cluster of `RAY_ADDRESS`, or starts a local Ray and ends it afterwards.

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
    address = os.environ.get("RAY_ADDRESS")
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            if address:
                ray.init(address=address, log_to_driver=False)
            else:
                ray.init(num_cpus=num_cpus, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
            break
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                where = f"reach Ray at {address}" if address else "start a local Ray"
                raise RunError(f"cannot {where}: {error}; try --in-process to run without Ray") from error
    try:
        yield not address
    finally:
        ray.shutdown()
