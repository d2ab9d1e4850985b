"""Resources: what a slot holds and how many there may be."""

from pydantic import Field

from assay.manifests.base import Manifest


class Resources(Manifest):
    """The share of the cluster that an experiment may use."""

    num_cpus: float = Field(default=1.0, ge=0)
    """CPU cores that one slot reserves."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that one slot reserves; a fraction shares one GPU."""
    replicas: int = Field(default=1, ge=1, le=1000)
    """Slots that work on one arm at once. Changes the time, never a score."""
    max_slots: int | None = Field(default=None, ge=1)
    """The most slots at once. Null: as many as the cluster has room for. A number is also what an autoscaler is
    asked for, as far as there is work."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """How often a unit is tried before its arm is marked failed."""
    unit_timeout_s: float | None = Field(default=None, gt=0)
    """Seconds after which a unit counts as hanging: its slot is made anew and the unit tried again. Null: ten times
    the longest that the arm has needed for one, at least a minute; before its first one, which loads it, an hour.
    In one process nothing can be interrupted."""
    start_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds without a single slot after which a run gives up: nodes that an autoscaler adds need minutes."""
    shard_cache_bytes: int = Field(default=1 << 34, ge=0)
    """The most bytes of shards that a host keeps in its folder for temporary files, for all slots there: enough for
    the dataset means that each shard comes once. 0: every slot reads shards for itself. Shards of a store that is a
    folder are used where they lie, and count only if they are compressed."""
