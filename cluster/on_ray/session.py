"""Connecting to Ray: to the cluster that an address names, or to one started here for this process."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from assay.cluster.errors import RunError

_START_ATTEMPTS = 2  # under load, Ray gives up on its own start after a fixed time; a second try mostly succeeds


def secure() -> None:
    """Sets how this process authenticates to Ray. Call it before Ray is imported, which reads this once.

    Ray turns tokens on for the clusters that it starts, unless told otherwise; without them anyone in the network can
    run code. A cluster that lives as long as this process gets a token that does, too.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token" and not os.environ.get("RAY_ADDRESS"):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def connected(*, num_cpus: int | None = None) -> Iterator[bool]:
    """Joins the Ray that `RAY_ADDRESS` or this process names, or starts a local one and ends it afterwards.

    Args:
        num_cpus: CPUs of a local Ray; None: those of the machine.

    Yields:
        Whether it is a local one of this process.

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
