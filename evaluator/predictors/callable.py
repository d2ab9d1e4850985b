"""Callable variants: any Python function that takes a batch of features."""

import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import check_parameters, resolve_entrypoint
from assay.evaluator.predictors.given_arrays import given, is_refused_write
from assay.evaluator.predictors.output import BatchOutput, CollectedOutput, checked_output
from assay.evaluator.predictors.predictor import Batch, InputWrittenError, PredictionError, RawOutput
from assay.evaluator.predictors.weights_files import WeightsFiles, weights_files
from assay.evaluator.storage import Store
from assay.manifests.base_variant import Output
from assay.manifests.callable_variant import CallableVariant
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.plain_text import error_text
from assay.manifests.read_only_inputs import WRITE_HINT


def check(variant: CallableVariant) -> None:
    """Imports the entrypoint and checks that it accepts the parameters and the weights; see `Kind.check`."""
    _check_arguments(variant, resolve_entrypoint(variant.entrypoint))


def check_input(variant: CallableVariant, column: FrozenColumn, rules: Column | None) -> None:
    """Does nothing: a callable receives arrays of any type, as they are frozen."""


def read_weights(variant: CallableVariant, *, store_at: Callable[[str], Store], copies: Path) -> WeightsFiles:
    """Makes the weights available as paths on this machine; see `Kind.read_weights`."""
    return weights_files(variant.weights_locations, store_at=store_at, copies=copies)


def load(
    variant: CallableVariant,
    *,
    inputs: tuple[str, ...],
    weights: WeightsFiles | None,
    device: torch.device,  # noqa: ARG001  # a callable chooses its own
) -> "CallablePredictor":
    """Calls the load step, if there is one; see `Kind.load`."""
    return CallablePredictor(variant, inputs=inputs, weights_paths=() if weights is None else weights.paths)


class CallablePredictor:
    """Calls a function with each batch: `function(features, **parameters)`, or what a load step returns with `features`.

    `features` is a dictionary of arrays of shape (batch_size, *shape), in the order of the inputs: read-only ones, or,
    if the variant writes to its inputs, copies that nobody else sees. The function returns an array-like object with one
    entry per row, or a mapping with it as `output` and, for rows that it cannot answer, their `status` and `reason`.
    """

    num_parameters: int | None = None

    def __init__(
        self,
        variant: CallableVariant,
        *,
        inputs: tuple[str, ...],
        weights_paths: Sequence[str] = (),
    ) -> None:
        """Checks the parameters against the entrypoint's signature and, if it is a load step, calls it.

        Args:
            variant: The variant.
            inputs: The feature columns that it receives, in order.
            weights_paths: Local paths of its weights.

        Raises:
            VariantError: The function does not accept these parameters, or the load step returns nothing to call.
        """
        function = resolve_entrypoint(variant.entrypoint)
        _check_arguments(variant, function)
        self._inputs, self._entrypoint = inputs, variant.entrypoint
        self._function, self._parameters = function, dict(variant.parameters)
        if _is_load_step(variant, function):
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
        self._writes_inputs = variant.writes_inputs

    def predict(self, batches: Iterable[Batch]) -> RawOutput:
        """Calls the function with one batch after another; see `Predictor.predict`."""
        collected, ends = CollectedOutput(variant=self._entrypoint), [time.perf_counter()]
        for batch in batches:
            collected.add(self._output_of(batch), num_rows=batch.num_rows)
            ends.append(time.perf_counter())
        times_s = tuple(np.diff(ends).tolist())
        return RawOutput(collected.joined(), times_s, 0.0, sum(times_s), collected.unanswered)

    def _received(self) -> str:
        """Which columns the function receives, for an error about another one."""
        return (
            f"the variant receives the columns {', '.join(self._inputs)}: its 'inputs' or, without them, the columns of "
            "role feature in the contract; columns of other roles, such as segments, are not passed"
        )

    def release(self) -> None:
        """Does nothing: Assay holds no memory for a function."""

    def _output_of(self, batch: Batch) -> BatchOutput:
        features = {
            name: given(column, writable=self._writes_inputs)
            for name, column in zip(self._inputs, batch.columns(self._inputs), strict=True)
        }
        try:
            returned = self._function(features, **self._parameters)
        except Exception as error:  # the variant's own code may raise anything
            failed = f"{self._entrypoint} failed on a batch of {batch.size} rows: {error_text(error)}"
            if not self._writes_inputs and is_refused_write(error):
                raise InputWrittenError(f"{failed}; {WRITE_HINT}") from error
            missing = error.args[0] if isinstance(error, KeyError) and error.args else None
            hint = "" if missing is None or missing in features else f"; {self._received()}"
            raise PredictionError(f"{failed}{hint}") from error
        return checked_output(returned, output=self._output, num_rows=batch.size, variant=self._entrypoint)


def _is_load_step(variant: CallableVariant, function: Callable[..., Any]) -> bool:
    """Whether the entrypoint loads the model, rather than answering a batch."""
    return variant.load or inspect.isclass(function)


def _check_arguments(variant: CallableVariant, function: Callable[..., Any]) -> None:
    if _is_load_step(variant, function):
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
