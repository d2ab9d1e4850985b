"""Weights: reads a file's tensors by name without executing any code that the file may contain."""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from assay.evaluator.errors import VariantError
from assay.evaluator.storage import Store, split_uri
from assay.manifests.errors import did_you_mean

_SHOWN = 3


def read_weights_file(location: str, *, store_at: Callable[[str], Store]) -> pa.Buffer:
    """The bytes of a weights file.

    Args:
        location: The file's path or URI.
        store_at: Opens the store at a URI.

    Raises:
        VariantError: The file does not exist.
    """
    uri, key = split_uri(location)
    try:
        return store_at(uri).get(key)
    except FileNotFoundError:
        raise VariantError(
            "the file does not exist",
            place=location,
            field="weights",
            remedy="weights are a path or a URI, relative to the manifest that names them",
        ) from None


def tensors_by_name(content: pa.Buffer, *, file: str) -> dict[str, torch.Tensor]:
    """Reads the tensors of a weights file; the extension of its name gives the format.

    Args:
        content: The file's bytes.
        file: The file's path or URI.

    Raises:
        VariantError: The bytes are not in the format that the extension names, or contain anything but named tensors.
    """
    if file.endswith(".safetensors"):
        try:
            return safetensors.torch.load(content.to_pybytes())
        except (SafetensorError, KeyError) as error:
            raise VariantError(f"not a safetensors file: {error}", place=file, field="weights") from None
    try:
        loaded: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises errors of pickle, of zip and its own
        # torch's message suggests unpickling the file; only the name of the unsupported object is useful.
        match = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        raise VariantError(
            "the file does not hold plain tensors",
            place=file,
            field="weights",
            value=f"the object {match[1]}" if match else type(error).__name__,
            remedy="save module.state_dict(), preferably as .safetensors; pickled objects are never executed",
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        nested = isinstance(loaded, Mapping) and "state_dict" in loaded
        raise VariantError(
            "the file holds more than named tensors",
            place=file,
            field="weights",
            value=sorted(map(str, loaded)) if isinstance(loaded, Mapping) else type(loaded).__name__,
            remedy=f"save only {'its state_dict entry' if nested else 'module.state_dict()'}",
        )
    return dict(loaded)


def fill(module: nn.Module, weights: Mapping[str, torch.Tensor], *, file: str) -> None:
    """Copies weights into a module.

    Every name and shape must match. Floating-point tensors must stay floating-point, and integer tensors integer.

    Args:
        module: The module to fill.
        weights: Its tensors by name.
        file: The file's path or URI, for messages.

    Raises:
        VariantError: A tensor is missing or unexpected, or its shape or kind differs.
    """
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    unexpected = sorted(weights.keys() - wanted.keys())
    mismatches = [
        f"{name} is {_form(weights[name])}, expected {_form(wanted[name])}"
        for name in sorted(wanted.keys() & weights.keys())
        if _differs(weights[name], wanted[name])
    ]
    problems = [
        f"{len(names)} {adjective}: {', '.join(names[:_SHOWN])}{', …' * (len(names) > _SHOWN)}"
        for adjective, names in (("missing", missing), ("unexpected", unexpected), ("mismatched", mismatches))
        if names
    ]
    if problems:
        slip = did_you_mean(unexpected[0], missing) if unexpected and missing else ""
        raise VariantError(
            f"the weights do not fit the module: {'; '.join(problems)}",
            place=file,
            field="weights",
            remedy=slip if slip.startswith("did you mean") else "check the entrypoint's parameters",
        )
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:  # a module may load extra state with code of its own
        raise VariantError(f"the weights do not fit the module: {error}", place=file, field="weights") from error


def _differs(given: torch.Tensor, wanted: Any) -> bool:
    if not isinstance(wanted, torch.Tensor):  # extra state of a module, which may be any object
        return False
    return given.shape != wanted.shape or given.is_floating_point() != wanted.is_floating_point()


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
