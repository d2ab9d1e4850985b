"""Predictor: the one thing a loaded variant can do, the batches it is given, and what comes back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from assay.manifests.errors import AssayError, did_you_mean


class PredictionError(AssayError):
    """A variant failed on a batch, or answered with something that its declared output does not allow."""


class Batch(NamedTuple):
    """Rows that are scored together, padded to the suite's batch size.

    Attributes:
        features: The feature columns by name, each of shape (batch_size, *shape); strings as object arrays. They may
            be views of memory that other arms read too: nobody writes to them.
        num_rows: How many rows are real; those behind them are padding, there only so that every batch has one size.
    """

    features: Mapping[str, np.ndarray]
    num_rows: int

    @property
    def size(self) -> int:
        """The number of rows with padding."""
        return len(next(iter(self.features.values())))

    def columns(self, names: tuple[str, ...]) -> list[np.ndarray]:
        """The features of these names, in this order.

        Raises:
            PredictionError: There is no feature of that name.
        """
        for name in names:
            if name not in self.features:
                raise PredictionError(
                    f"the variant's inputs name '{name}', but the rows have no such feature; "
                    f"{did_you_mean(name, list(self.features))}"
                )
        return [self.features[name] for name in names]


@dataclass(frozen=True)
class RawOutput:
    """What a variant said of the rows of some batches.

    Attributes:
        raw: Shape (rows, ...), in the form of the variant's declared output: the real rows alone, no padding.
        batch_times_s: How long each batch took, from the end of the one before it: on a device that works beside this
            process, as that device's own clock has it.
        copy_s: Seconds of copying inputs to where the variant computes, over all batches.
        forward_s: Seconds of the variant's own computing, over all batches; a GPU computes one while it copies another.
    """

    raw: np.ndarray
    batch_times_s: tuple[float, ...]
    copy_s: float
    forward_s: float


class Predictor(Protocol):
    """A variant, loaded on a device and ready to be asked."""

    num_parameters: int | None
    """Numbers that its module holds as parameters; None where nobody can count them."""

    def predict(self, batches: Iterable[Batch]) -> RawOutput:
        """Answers for the rows of a run of batches, such as a unit's, in their order.

        Batches are taken one by one, and at most a few ahead of the one that is being computed: a run may be longer
        than memory is.

        Args:
            batches: At least one.

        Raises:
            PredictionError: The variant failed, or its answer has the wrong shape or type.
        """
        ...

    def release(self) -> None:
        """Frees the device. The predictor is not asked again."""
        ...
