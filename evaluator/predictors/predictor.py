"""Predictor: the protocol of a loaded variant, its input (`Batch`) and its output (`RawOutput`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from assay.manifests.errors import AssayError, did_you_mean
from assay.manifests.row_status import RowStatus


class PredictionError(AssayError):
    """A variant failed on a batch, or returned something that its declared output does not allow."""


class InputWrittenError(PredictionError):
    """A variant tried to write to its read-only inputs. It would do so again: another attempt is useless."""


class Batch(NamedTuple):
    """Rows that are scored together, padded to the suite's batch size.

    Attributes:
        features: The feature columns by name, each of shape (batch_size, *shape); strings as object arrays. One
            that NumPy marks read-only is a view of a shard, which other arms read too; nobody can write to its memory.
            Others are parts of converted columns, or arrays of this batch alone.
        num_rows: The number of real rows. The rows after them are padding, so that all batches have the same size.
    """

    features: Mapping[str, np.ndarray]
    num_rows: int

    @property
    def size(self) -> int:
        """The number of rows, including padding."""
        return len(next(iter(self.features.values())))

    def columns(self, names: tuple[str, ...]) -> list[np.ndarray]:
        """The features with these names, in this order.

        Raises:
            PredictionError: A feature does not exist.
        """
        for name in names:
            if name not in self.features:
                raise PredictionError(
                    f"the variant's inputs name '{name}', but the rows have no such feature; "
                    f"{did_you_mean(name, list(self.features))}"
                )
        return [self.features[name] for name in names]


class Unanswered(NamedTuple):
    """A row that has no answer.

    Attributes:
        status: Any status but `ok`.
        reason: Why there is no answer.
    """

    status: RowStatus
    reason: str


@dataclass(frozen=True)
class RawOutput:
    """A variant's output for the rows of some batches.

    Attributes:
        raw: Shape (rows, ...), in the standard form of the variant's declared output; without padding. It means
            nothing for rows without an answer.
        batch_times_s: Seconds per batch, each measured from the end of the previous batch. On a CUDA device they are
            measured by the device's own clock.
        copy_s: Seconds spent copying inputs to the device, over all batches.
        forward_s: Seconds of the variant's own computation, over all batches. A GPU computes one batch while it copies
            another, so this may overlap with `copy_s`.
        unanswered: The rows for which the variant itself says that it has no answer, by their index.
    """

    raw: np.ndarray
    batch_times_s: tuple[float, ...]
    copy_s: float
    forward_s: float
    unanswered: Mapping[int, Unanswered] = field(default_factory=dict)


class Predictor(Protocol):
    """A variant that is loaded on a device and ready to predict."""

    num_parameters: int | None
    """The number of parameters of its module; None for a callable variant, whose parameters cannot be counted."""

    def predict(self, batches: Iterable[Batch]) -> RawOutput:
        """Predicts the rows of a sequence of batches, such as a unit's, in order.

        Batches are consumed one at a time, at most a few ahead of the one that is being computed, so the sequence may
        be larger than memory.

        Args:
            batches: At least one batch.

        Raises:
            PredictionError: The variant failed, or its output has the wrong shape or type.
        """
        ...

    def release(self) -> None:
        """Frees the device. The predictor must not be used afterwards."""
        ...
