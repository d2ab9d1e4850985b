"""What slots have cost."""

from pydantic import Field

from assay.manifests.base import Manifest


class Spent(Manifest):
    """What slots have cost, from when each was ready until it was given back."""

    slot_s: float = Field(default=0.0, ge=0)
    """Seconds of slots."""
    cpu_s: float = Field(default=0.0, ge=0)
    """Seconds of CPU cores that slots reserved."""
    gpu_s: float = Field(default=0.0, ge=0)
    """Seconds of GPUs that slots held."""
    price: float = Field(default=0.0, ge=0)
    """What that costs by the experiment's prices."""

    def __add__(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(
            slot_s=self.slot_s + other.slot_s,
            cpu_s=self.cpu_s + other.cpu_s,
            gpu_s=self.gpu_s + other.gpu_s,
            price=self.price + other.price,
        )
