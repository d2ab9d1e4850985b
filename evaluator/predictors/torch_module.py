"""Torch variants: the entrypoint builds a module, a weights file fills it, and batches are passed through it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from assay.evaluator.errors import VariantError
from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.predictors import device_transfer
from assay.evaluator.predictors.device import empty_cache
from assay.evaluator.predictors.entrypoint import check_parameters, resolve_entrypoint
from assay.evaluator.predictors.output import CollectedOutput, checked_output
from assay.evaluator.predictors.predictor import Batch, PredictionError, RawOutput
from assay.evaluator.predictors.tensor_inputs import check_tensor_input
from assay.evaluator.predictors.weights import fill, read_weights_file, tensors_by_name
from assay.evaluator.predictors.weights_files import WeightsFiles
from assay.evaluator.storage import Store
from assay.manifests.base_variant import Output
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.plain_text import error_text
from assay.manifests.torch_variant import TorchVariant

_DTYPES = {"as_frozen": None, "float32": torch.float32, "float32_rounded": torch.float32, "float64": torch.float64}


def check(variant: TorchVariant) -> None:
    """Imports the entrypoint and checks that it accepts the parameters; see `Kind.check`."""
    check_parameters(resolve_entrypoint(variant.entrypoint), variant.parameters, entrypoint=variant.entrypoint)


def check_input(variant: TorchVariant, column: FrozenColumn, rules: Column | None) -> None:
    """Checks that a feature can be put into a tensor; see `Kind.check_input`."""
    check_tensor_input(column, rules, input_type=variant.input_type)


def read_weights(variant: TorchVariant, *, store_at: Callable[[str], Store], copies: Path) -> WeightsFiles:  # noqa: ARG001
    """Reads the bytes of the file; see `Kind.read_weights`."""
    content = read_weights_file(variant.weights_locations[0], store_at=store_at)
    return WeightsFiles(sha256_digest(content), content.size, content=content)


def load(
    variant: TorchVariant, *, inputs: tuple[str, ...], weights: WeightsFiles | None, device: torch.device
) -> "TorchPredictor":
    """Builds the module, fills it and moves it to the device; see `Kind.load`."""
    content = None if weights is None else weights.content
    return TorchPredictor(variant, inputs=inputs, weights=content, device=device)


class TorchPredictor:
    """A `torch.nn.Module` in eval mode on one device. It receives its inputs as positional tensors."""

    def __init__(
        self,
        variant: TorchVariant,
        *,
        inputs: tuple[str, ...],
        weights: pa.Buffer | None,
        device: torch.device,
    ) -> None:
        """Builds the module, fills it and moves it to the device.

        Raises:
            VariantError: The entrypoint fails or does not return a module, or the weights do not fit the module.
        """
        module = _build(variant, resolve_entrypoint(variant.entrypoint))
        if weights is not None:
            file = ", ".join(variant.weights_locations)
            fill(module, tensors_by_name(weights, file=file), file=file)
        self.num_parameters: int | None = sum(parameter.numel() for parameter in module.parameters())
        self._module: nn.Module | None = module.to(device).eval().requires_grad_(requires_grad=False)
        self._inputs, self._device = inputs, device
        self._transfer: device_transfer.DeviceTransfer = (
            device_transfer.CudaTransfer(device) if device.type == "cuda" else device_transfer.DirectTransfer(device)
        )
        self._entrypoint = variant.entrypoint
        self._output: Output = variant.output
        self._input_dtype = _DTYPES[variant.input_type]

    def predict(self, batches: Iterable[Batch]) -> RawOutput:
        """Runs the module in inference mode; see `Predictor.predict`.

        Raises:
            PredictionError: The module failed, or its output has the wrong shape or type.
            torch.OutOfMemoryError: The device is full. Not converted to a PredictionError, because another slot may
                have more memory.
        """
        assert self._module is not None, "the predictor has been released"
        collected, times_s = CollectedOutput(variant=self._entrypoint), []
        copy_s = forward_s = 0.0
        with torch.inference_mode():
            forwarded_batches = self._transfer.forwarded(
                batches, inputs=self._inputs, forward=self._forward, dtype=self._input_dtype
            )
            for forwarded in forwarded_batches:
                batch = forwarded.batch
                output = checked_output(
                    forwarded.returned.numpy(), output=self._output, num_rows=batch.size, variant=self._entrypoint
                )
                collected.add(output, num_rows=batch.num_rows)
                times_s.append(forwarded.time_s)
                copy_s += forwarded.copy_s
                forward_s += forwarded.forward_s
        return RawOutput(collected.joined(), tuple(times_s), copy_s=copy_s, forward_s=forward_s)

    def release(self) -> None:
        """Drops the module and returns its memory to the device."""
        self._module = None
        empty_cache(self._device)

    def _forward(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        assert self._module is not None
        try:
            returned = self._module(*tensors)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the module's own code may raise anything
            arguments = ", ".join(
                f"{name} {str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
                for name, tensor in zip(self._inputs, tensors, strict=True)
            )
            raise PredictionError(f"{self._entrypoint} failed on {arguments}: {error_text(error)}") from error
        if not isinstance(returned, torch.Tensor):
            raise PredictionError(
                f"{self._entrypoint}: the module returned {type(returned).__name__}; "
                f"allowed: one tensor with the {self._output}"
            )
        # NumPy has no bfloat16; float32 represents all of its values.
        return returned.detach().float() if returned.dtype == torch.bfloat16 else returned.detach()


def _build(variant: TorchVariant, function: Callable[..., Any]) -> nn.Module:
    check_parameters(function, variant.parameters, entrypoint=variant.entrypoint)
    try:
        module = function(**variant.parameters)
    except Exception as error:  # the variant's own code may raise anything
        raise VariantError(
            f"the entrypoint failed: {error_text(error)}",
            field="entrypoint",
            value=variant.entrypoint,
        ) from error
    if not isinstance(module, nn.Module):
        raise VariantError(
            f"the entrypoint returned {type(module).__name__}",
            field="entrypoint",
            value=variant.entrypoint,
            bound="a torch.nn.Module",
            remedy="for a function that takes batches use 'predictor: callable'",
        )
    return module
