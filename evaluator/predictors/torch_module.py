"""Torch variants: an entrypoint builds a module, a file fills it, batches go through it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from evaluator.errors import VariantError
from evaluator.predictors.answer import answer
from evaluator.predictors.base import Batch, PredictionError
from evaluator.predictors.device import empty_cache
from evaluator.predictors.entrypoint import check_parameters
from evaluator.predictors.weights import fill, tensors_by_name
from manifests.variant import Output, Variant


class TorchPredictor:
    """A `torch.nn.Module` in eval mode on one device, given its inputs as positional tensors."""

    def __init__(
        self,
        variant: Variant,
        *,
        function: Callable[..., Any],
        inputs: tuple[str, ...],
        weights: pa.Buffer | None,
        device: torch.device,
    ) -> None:
        """Builds the module, fills it and moves it to the device.

        Raises:
            VariantError: The entrypoint fails, gives no module, or the weights do not fit it.
        """
        module = _build(variant, function)
        if weights is not None:
            file = variant.weights or "weights"
            fill(module, tensors_by_name(weights, file=file), file=file)
        self._module: nn.Module | None = module.to(device).eval().requires_grad_(requires_grad=False)
        self._inputs, self._device = inputs, device
        self._entrypoint = variant.entrypoint
        self._output: Output = variant.output

    def predict(self, batch: Batch) -> np.ndarray:
        """Runs the module in inference mode; see `Predictor.predict`.

        Raises:
            PredictionError: The module failed, or its answer has the wrong shape or type.
            torch.OutOfMemoryError: The device is full; left as it is, because another slot may have more room.
        """
        assert self._module is not None, "a released predictor is not asked again"
        columns = batch.columns(self._inputs)
        tensors = [
            _on_device(column, name=name, device=self._device)
            for name, column in zip(self._inputs, columns, strict=True)
        ]
        try:
            with torch.inference_mode():
                returned = self._module(*tensors)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever the module's own code raises
            given = ", ".join(
                f"{name} {column.dtype} {column.shape}" for name, column in zip(self._inputs, columns, strict=True)
            )
            raise PredictionError(f"{self._entrypoint} failed on {given}: {type(error).__name__}: {error}") from error
        if not isinstance(returned, torch.Tensor):
            raise PredictionError(
                f"{self._entrypoint}: the module answered with {type(returned).__name__}; "
                f"allowed: one tensor that holds the {self._output}"
            )
        return answer(_to_numpy(returned), output=self._output, num_rows=batch.size, variant=self._entrypoint)

    def release(self) -> None:
        """Drops the module and hands its memory back."""
        self._module = None
        empty_cache(self._device)


def _build(variant: Variant, function: Callable[..., Any]) -> nn.Module:
    check_parameters(function, variant.parameters, entrypoint=variant.entrypoint)
    try:
        module = function(**variant.parameters)
    except Exception as error:  # whatever the variant's own code raises
        raise VariantError(
            f"the entrypoint failed: {type(error).__name__}: {error}",
            field="entrypoint",
            value=variant.entrypoint,
        ) from error
    if not isinstance(module, nn.Module):
        raise VariantError(
            f"the entrypoint gave {type(module).__name__}",
            field="entrypoint",
            value=variant.entrypoint,
            bound="a torch.nn.Module",
            remedy="for a function over batches write 'predictor: callable'",
        )
    return module


def _on_device(column: np.ndarray, *, name: str, device: torch.device) -> torch.Tensor:
    """One copy of a feature as a tensor.

    A copy even on the CPU: the array is a view of a shard that other arms read, often mapped read-only, and a module
    may work in place. Page-locked where the copy then travels to a GPU, so that it travels on its own.
    """
    if column.dtype.kind not in "biuf":
        raise PredictionError(
            f"feature '{name}' holds {'strings' if column.dtype == object else column.dtype}, which no tensor can; "
            "name the numeric features in the variant's inputs, or write 'predictor: callable'"
        )
    # torch.from_numpy is the table of which dtype is which; of the array itself it would warn that it is read-only.
    dtype = torch.from_numpy(np.empty(0, column.dtype)).dtype
    staged = torch.empty(column.shape, dtype=dtype, pin_memory=device.type == "cuda")
    np.copyto(staged.numpy(), column)
    return staged.to(device, non_blocking=True)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type; float32 holds every bfloat16
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()
