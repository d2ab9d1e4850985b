"""Weights: a file's tensors by name, read without running anything that the file might hold."""

import io
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from assay.evaluator.errors import VariantError
from assay.evaluator.storage import Store, open_store, split_uri
from assay.manifests.errors import did_you_mean
from assay.manifests.variant import Variant

_SHOWN = 3


def read_weights(variant: Variant, *, patient: bool = False) -> pa.Buffer | None:
    """The bytes of a variant's weights file, or None if it has none.

    Args:
        variant: The variant.
        patient: Whether the file's store waits through an outage.

    Raises:
        VariantError: There is no such file.
    """
    if variant.weights is None:
        return None
    return read_weights_file(variant.weights, store_at=partial(open_store, patient=patient))


def read_weights_file(location: str, *, store_at: Callable[[str], Store]) -> pa.Buffer:
    """The bytes of a weights file.

    Args:
        location: Its path or URI.
        store_at: Opens the store of a URI.

    Raises:
        VariantError: There is no such file.
    """
    uri, key = split_uri(location)
    try:
        return store_at(uri).get(key)
    except FileNotFoundError:
        raise VariantError("there is no such file", place=location, field="weights") from None


def tensors_by_name(content: pa.Buffer, *, file: str) -> dict[str, torch.Tensor]:
    """Reads a weights file's bytes; the end of the name says which form they have.

    Raises:
        VariantError: The bytes are not what the name says, or hold more than tensors by name.
    """
    if file.endswith(".safetensors"):
        try:
            return safetensors.torch.load(content.to_pybytes())
        except (SafetensorError, KeyError) as error:
            raise VariantError(f"not a safetensors file: {error}", place=file, field="weights") from None
    try:
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # pickle's errors, zip's, and torch's own
        # torch's words for this propose to run the pickle; only the name of what it found is of use.
        named = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        raise VariantError(
            "not a file of plain tensors",
            place=file,
            field="weights",
            value=f"the object {named[1]}" if named else type(error).__name__,
            remedy="save module.state_dict(), best as .safetensors; pickled objects are never run",
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        nested = isinstance(found, Mapping) and "state_dict" in found
        raise VariantError(
            "the file holds more than tensors by name",
            place=file,
            field="weights",
            value=sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__,
            remedy=f"save {'its state_dict entry' if nested else 'module.state_dict()'} alone",
        )
    return dict(found)


def fill(module: nn.Module, weights: Mapping[str, torch.Tensor], *, file: str) -> None:
    """Copies weights into a module. Every name and shape must match, and no number may become a whole number.

    Raises:
        VariantError: Something is missing, unexpected, or of another shape or kind.
    """
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    unexpected = sorted(weights.keys() - wanted.keys())
    others = [
        f"{name} is {_form(weights[name])}, wanted {_form(wanted[name])}"
        for name in sorted(wanted.keys() & weights.keys())
        if _differs(weights[name], wanted[name])
    ]
    problems = [
        f"{len(names)} {word}: {', '.join(names[:_SHOWN])}{', …' * (len(names) > _SHOWN)}"
        for word, names in (("missing", missing), ("unexpected", unexpected), ("of another form", others))
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
    except RuntimeError as error:  # a module may load its extra state in its own way
        raise VariantError(f"the weights do not fit the module: {error}", place=file, field="weights") from error


def _differs(given: torch.Tensor, wanted: Any) -> bool:
    if not isinstance(wanted, torch.Tensor):  # extra state of a module, in a form of its own
        return False
    return given.shape != wanted.shape or given.is_floating_point() != wanted.is_floating_point()


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
