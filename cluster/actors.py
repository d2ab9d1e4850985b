"""The slot as a Ray actor."""

import ray

from cluster.slot import Slot

# max_restarts=0: the driver makes a new slot itself, since only it knows which units were in hand.
SlotActor = ray.remote(max_restarts=0)(Slot)
