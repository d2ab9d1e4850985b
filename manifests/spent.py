"""Spent: the cost of slots."""

from pydantic import Field

from assay.manifests.base import Manifest


class Spent(Manifest):
    """Cost of slots, from when each was ready until it was released."""

    slot_s: float = Field(default=0.0, ge=0)
    """Slot-seconds."""
    cpu_s: float = Field(default=0.0, ge=0)
    """CPU-core-seconds that slots reserved."""
    gpu_s: float = Field(default=0.0, ge=0)
    """GPU-seconds that slots reserved."""
    price: float = Field(default=0.0, ge=0)
    """The cost by the experiment's prices."""

    def __add__(self, other: "Spent") -> "Spent":
        """The sum of both costs."""
        return Spent(
            slot_s=self.slot_s + other.slot_s,
            cpu_s=self.cpu_s + other.cpu_s,
            gpu_s=self.gpu_s + other.gpu_s,
            price=self.price + other.price,
        )
