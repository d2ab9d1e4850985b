"""Torch variants: the entrypoint builds a module, which a file of weights fills."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from assay.manifests.base import LOCATION
from assay.manifests.base_variant import BaseVariant, Location

InputType = Literal["as_frozen", "float32", "float64", "float32_rounded"]


def _one_file_of_tensors(location: Any) -> Any:
    if isinstance(location, list | tuple):
        raise ValueError("a list, but predictor: torch loads one file; a callable can load several")  # noqa: TRY004  # pydantic reports only ValueErrors
    if isinstance(location, str) and not location.endswith((".safetensors", ".pt", ".pth", ".bin")):
        raise ValueError(f"'{location}' must end in .safetensors, .pt, .pth or .bin")
    return location


class TorchVariant(BaseVariant):
    """A `torch.nn.Module`: the entrypoint is called once with the parameters and returns it."""

    predictor: Literal["torch"]
    """`torch`: the entrypoint is called once and returns a `torch.nn.Module`."""
    weights: Annotated[Location | None, BeforeValidator(_one_file_of_tensors)] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower is safe in a frozen class
        default=None, json_schema_extra=LOCATION
    )
    """One `.safetensors` file, or a `.pt`, `.pth` or `.bin` file that `torch.load(weights_only=True)` can read; pickled
    objects are never executed. Null (default): the module stays as the entrypoint built it."""
    input_type: InputType = "as_frozen"
    """Type of the tensors that the module receives. `as_frozen` (default): each column's stored type. `float32`,
    `float64`: this type; a column whose values it cannot represent exactly is an error before the run starts.
    `float32_rounded`: float32, with values rounded to the nearest."""
