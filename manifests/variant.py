"""Variant: a model version: code, weights, parameters."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import LOCATION, Digest, Manifest, Parameters

Output = Literal["logits", "probabilities", "labels", "values"]


class Variant(Manifest):
    """One version of a model, complete enough to be loaded anywhere."""

    kind: Literal["Variant"]
    """Always `Variant`."""
    version: Literal[1]
    """The version of this manifest's form."""
    predictor: Literal["torch", "callable"]
    """`torch`: the entrypoint builds a `torch.nn.Module`. `callable`: the entrypoint is called with each batch."""
    entrypoint: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`module:function`, importable where the slots run."""
    code_digest: Digest | None = None
    """The digest of the entrypoint module's source. Filled when a run is resolved; if given, it must match."""
    parameters: Parameters = Field(default_factory=dict, validate_default=True)
    """Keyword arguments for the entrypoint."""
    weights: str | None = Field(default=None, min_length=1, json_schema_extra=LOCATION)
    """A `.safetensors` file, or a `.pt`, `.pth` or `.bin` file that `torch.load(weights_only=True)` reads."""
    weights_digest: Digest | None = None
    """The sha256 of the weights. Filled when a run is resolved; if given, it must match."""
    inputs: tuple[str, ...] = ()
    """The feature columns that the variant is given, in the order of its arguments. Empty: every feature."""
    input_type: Literal["as_frozen", "float32", "float64", "float32_rounded"] = "as_frozen"
    """What tensors a torch variant is given. `as_frozen`: of the type that each column was frozen as. `float32` and
    `float64`: of that type, and columns whose values it may not hold exactly are refused before the run.
    `float32_rounded`: numbers that float32 does not hold are rounded to the nearest that it does."""
    takes_missing: bool = False
    """Whether the variant takes columns that may have no value: NaN for a number, None for a text. Without it such a
    column among its inputs is refused before the run."""
    output: Output
    """What comes back for each row: class `logits` or `probabilities` (rows x classes, or one number a row for
    the positive class of two), class `labels`, or `values` (one number a row)."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.predictor == "callable" and self.weights is not None:
            raise ValueError("a callable predictor loads its own weights; weights belong to predictor: torch")
        if self.predictor == "callable" and self.input_type != "as_frozen":
            raise ValueError("a callable predictor is given arrays as frozen; input_type belongs to predictor: torch")
        if self.weights is not None and not self.weights.endswith((".safetensors", ".pt", ".pth", ".bin")):
            raise ValueError("weights end in .safetensors, .pt, .pth or .bin")
        twice = sorted({name for name in self.inputs if self.inputs.count(name) > 1})
        if twice:
            raise ValueError(f"inputs name '{twice[0]}' more than once")
        if self.weights is None and self.weights_digest is not None:
            raise ValueError("weights_digest is given, but no weights")
        return self
