"""Callable variants: any Python function that takes a batch of features."""

import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import check_parameters
from assay.evaluator.predictors.output import CollectedOutput, checked_output
from assay.evaluator.predictors.predictor import Batch, PredictionError, RawOutput
from assay.manifests.variant import Output, Variant


class CallablePredictor:
    """Calls a function with each batch: `function(features, **parameters)`, or what a load step returns with `features`.

    `features` is a dictionary of read-only arrays of shape (batch_size, *shape), in the order of the inputs. The
    function returns an array-like object with one entry per row.
    """

    num_parameters: int | None = None

    def __init__(
        self,
        variant: Variant,
        *,
        function: Callable[..., Any],
        inputs: tuple[str, ...],
        weights_paths: Sequence[str] = (),
    ) -> None:
        """Checks the parameters against the function's signature and, if it is a load step, calls it.

        Args:
            variant: The variant.
            function: Its entrypoint.
            inputs: The feature columns that it receives, in order.
            weights_paths: Local paths of its weights.

        Raises:
            VariantError: The function does not accept these parameters, or the load step returns nothing to call.
        """
        check_callable(variant, function)
        self._inputs, self._entrypoint = inputs, variant.entrypoint
        self._function, self._parameters = function, dict(variant.parameters)
        if is_load_step(variant, function):
            paths = weights_paths[0] if isinstance(variant.weights, str) else list(weights_paths)
            self._function = function(**self._parameters, **({"weights": paths} if weights_paths else {}))
            self._parameters = {}
            if not callable(self._function):
                raise VariantError(
                    "the load step must return a function of a batch",
                    field="entrypoint",
                    value=f"{variant.entrypoint} returned {type(self._function).__name__}",
                    remedy="return a function or an object with __call__, or remove 'load: true'",
                )
        self._output: Output = variant.output

    def predict(self, batches: Iterable[Batch]) -> RawOutput:
        """Calls the function with one batch after another; see `Predictor.predict`."""
        collected, ends = CollectedOutput(variant=self._entrypoint), [time.perf_counter()]
        for batch in batches:
            collected.add(self._output_of(batch)[: batch.num_rows])
            ends.append(time.perf_counter())
        times_s = tuple(np.diff(ends).tolist())
        return RawOutput(collected.joined(), times_s, copy_s=0.0, forward_s=sum(times_s))

    def _received(self) -> str:
        """Which columns the function receives, for an error about another one."""
        return (
            f"the variant receives the columns {', '.join(self._inputs)}: its 'inputs' or, without them, the columns of "
            "role feature in the contract; columns of other roles, such as segments, are not passed"
        )

    def release(self) -> None:
        """Does nothing: Assay holds no memory for a function."""

    def _output_of(self, batch: Batch) -> np.ndarray:
        features = {
            name: _read_only(column) for name, column in zip(self._inputs, batch.columns(self._inputs), strict=True)
        }
        try:
            returned = self._function(features, **self._parameters)
        except Exception as error:  # the variant's own code may raise anything
            missing = error.args[0] if isinstance(error, KeyError) and error.args else None
            hint = "" if missing is None or missing in features else f"; {self._received()}"
            raise PredictionError(
                f"{self._entrypoint} failed on a batch of {batch.size} rows: {type(error).__name__}: {error}{hint}"
            ) from error
        return checked_output(returned, output=self._output, num_rows=batch.size, variant=self._entrypoint)


def is_load_step(variant: Variant, function: Callable[..., Any]) -> bool:
    """Whether the entrypoint of a callable variant loads the model, rather than answering a batch."""
    return variant.load or inspect.isclass(function)


def check_callable(variant: Variant, function: Callable[..., Any]) -> None:
    """Checks the parameters and weights of a callable variant against its entrypoint's signature.

    Raises:
        VariantError: The function does not accept the parameters, or there are weights and no load step to take them.
    """
    if is_load_step(variant, function):
        weights = {"weights": variant.weights} if variant.weights is not None else {}
        check_parameters(function, {**variant.parameters, **weights}, entrypoint=variant.entrypoint)
        return
    if variant.weights is not None:
        raise VariantError(
            "a function that is called with each batch cannot take weights",
            field="weights",
            value=", ".join(variant.weights_locations),
            remedy="let the entrypoint load them, and set 'load: true' (a class needs no 'load')",
        )
    check_parameters(function, variant.parameters, entrypoint=variant.entrypoint, num_leading=1)


def _read_only(column: np.ndarray) -> np.ndarray:
    """A read-only view, because other arms read the same memory."""
    view = column.view()
    view.flags.writeable = False
    return view
