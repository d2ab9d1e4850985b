"""Callable variants: a Python function of a batch, or a load step that returns one."""

from typing import Annotated, Literal

from pydantic import Field

from assay.manifests.base import LOCATION
from assay.manifests.base_variant import BaseVariant, Location


class CallableVariant(BaseVariant):
    """Any Python code: the entrypoint is called with every batch, as a dictionary of arrays, and returns the answers."""

    predictor: Literal["callable"]
    """`callable`: the entrypoint is called with every batch, as a dictionary of arrays, and returns the answers."""
    load: bool = False
    """Whether the entrypoint loads the model instead of answering. It is then called once per slot, with the parameters
    and, if the variant has weights, with their local path as `weights` (a list of paths if `weights` is a list), and
    returns the function that is called with every batch. Default: false. If the entrypoint is a class, it is always a load step."""
    writes_inputs: bool = False
    """Whether the function writes to the arrays that it is called with. It then receives writable copies, new ones for
    every call, at the cost of copying every batch. Default: false; it receives read-only arrays without a copy, and the
    arm fails if it writes to them."""
    inputs: tuple[str, ...] = ()
    """The feature columns in the dictionary that the function is called with. Empty (default): all features."""
    weights: Location | Annotated[tuple[Location, ...], Field(min_length=1)] | None = Field(
        default=None, json_schema_extra=LOCATION
    )
    """A file or a folder, or a list of them, that the load step reads; it may unpickle them. Null (default): none."""
