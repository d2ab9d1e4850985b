"""Callable variants: any Python function that takes a batch of features."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from assay.evaluator.predictors.entrypoint import check_parameters
from assay.evaluator.predictors.output import CollectedOutput, checked_output
from assay.evaluator.predictors.predictor import Batch, PredictionError, RawOutput
from assay.manifests.variant import Output, Variant


class CallablePredictor:
    """Calls `function(features, **parameters)` with each batch.

    `features` is a dictionary of read-only arrays of shape (batch_size, *shape), in the order of the inputs. The
    function returns an array-like object with one entry per row.
    """

    num_parameters: int | None = None

    def __init__(self, variant: Variant, *, function: Callable[..., Any], inputs: tuple[str, ...]) -> None:
        """Checks the parameters against the function's signature.

        Raises:
            VariantError: The function does not accept these parameters.
        """
        check_parameters(function, variant.parameters, entrypoint=variant.entrypoint, num_leading=1)
        self._function, self._inputs = function, inputs
        self._parameters: Mapping[str, Any] = variant.parameters
        self._entrypoint = variant.entrypoint
        self._output: Output = variant.output

    def predict(self, batches: Iterable[Batch]) -> RawOutput:
        """Calls the function with one batch after another; see `Predictor.predict`."""
        collected, ends = CollectedOutput(variant=self._entrypoint), [time.perf_counter()]
        for batch in batches:
            collected.add(self._output_of(batch)[: batch.num_rows])
            ends.append(time.perf_counter())
        times_s = tuple(np.diff(ends).tolist())
        return RawOutput(collected.joined(), times_s, copy_s=0.0, forward_s=sum(times_s))

    def release(self) -> None:
        """Does nothing: Assay holds no memory for a function."""

    def _output_of(self, batch: Batch) -> np.ndarray:
        features = {
            name: _read_only(column) for name, column in zip(self._inputs, batch.columns(self._inputs), strict=True)
        }
        try:
            returned = self._function(features, **self._parameters)
        except Exception as error:  # the variant's own code may raise anything
            raise PredictionError(
                f"{self._entrypoint} failed on a batch of {batch.size} rows: {type(error).__name__}: {error}"
            ) from error
        return checked_output(returned, output=self._output, num_rows=batch.size, variant=self._entrypoint)


def _read_only(column: np.ndarray) -> np.ndarray:
    """A read-only view, because other arms read the same memory."""
    view = column.view()
    view.flags.writeable = False
    return view
