"""Resources: what a slot reserves, and how many slots there may be."""

from pydantic import Field

from assay.manifests.base import Manifest


class Resources(Manifest):
    """Resources per slot, the number of slots, and limits on retries and waiting. None of them changes a score."""

    num_cpus: float = Field(default=1.0, ge=0)
    """CPU cores that each slot reserves. Default: 1."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that each slot reserves; with a fraction, slots share a GPU. Default: 0."""
    replicas: int = Field(default=1, ge=1, le=1000)
    """Largest number of slots that score one arm at the same time. Default: 1. Raise it if there are fewer arms than
    slots."""
    max_slots: int | None = Field(default=None, ge=1)
    """Largest number of slots at the same time. Null (default): as many as fit on the cluster. Set it on a cluster with
    an autoscaler: that many slots are requested, as far as there is work for them."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """Number of attempts at a unit before its arm fails. Default: 3."""
    unit_timeout_s: float | None = Field(default=None, gt=0)
    """Seconds after which a unit counts as hung: its worker is killed and the unit is retried. Null (default): ten
    times the longest time that a unit of the arm has taken, at least 60 s; for the first unit, which loads the variant,
    one hour. Not enforced with `--in-process`."""
    memory_bytes: int | None = Field(default=None, ge=1 << 28)
    """Limit on the memory of a slot's worker in bytes, with all processes that it starts and without mapped files: a
    worker that exceeds it is ended, and its arm fails. Null (default): a worker is ended when the machine has less than
    10 % of its memory left and the worker uses more than the slot's share. Not enforced with `--in-process`."""
    start_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds without any slot after which the run fails. Default: 900, because nodes that an autoscaler adds take
    minutes."""
    shard_cache_bytes: int = Field(default=1 << 34, ge=0)
    """Size limit of the shard cache in bytes, per host, shared by all its slots and kept in the folder for temporary
    files. Default: 16 GiB. If the dataset fits, each shard is fetched once per host. 0: no cache; every slot reads
    shards itself. Uncompressed shards of a store that is a local folder are used in place and do not count."""
