"""Variant: one version of a model: code, weights and parameters."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import LOCATION, Digest, Manifest, Parameters

Output = Literal["logits", "probabilities", "labels", "values"]


class Variant(Manifest):
    """One version of a model: everything that is needed to load it on any machine."""

    kind: Literal["Variant"]
    """Always `Variant`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    predictor: Literal["torch", "callable"]
    """`torch`: the entrypoint is called once and returns a `torch.nn.Module`. `callable`: the entrypoint is called with
    every batch, as a dictionary of arrays, and returns the answers."""
    entrypoint: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`module:function`, importable where slots run: next to the experiment's file, in the working directory, or
    installed. The module is imported and executed with the rights of whoever runs the experiment."""
    code_digest: Digest | None = None
    """Digest of the source file of the entrypoint's module. Null (default): filled in when a run starts. Set it to
    pin the code: it must match."""
    parameters: Parameters = Field(default_factory=dict, validate_default=True)
    """Keyword arguments of the entrypoint. Default: none."""
    weights: str | None = Field(default=None, min_length=1, json_schema_extra=LOCATION)
    """Weights that are loaded into the torch module: a `.safetensors` file, or a `.pt`, `.pth` or `.bin` file that
    `torch.load(weights_only=True)` can read; pickled objects are never executed. Null (default): none."""
    weights_digest: Digest | None = None
    """The sha256 of the weights file. Null (default): filled in when a run starts. Set it to pin the weights: it
    must match."""
    inputs: tuple[str, ...] = ()
    """The feature columns that the variant receives, in the order of its arguments. Empty (default): all features."""
    input_type: Literal["as_frozen", "float32", "float64", "float32_rounded"] = "as_frozen"
    """Type of the tensors that a torch variant receives. `as_frozen` (default): each column's stored type. `float32`,
    `float64`: this type; a column whose values it cannot represent exactly is an error before the run starts.
    `float32_rounded`: float32, with values rounded to the nearest."""
    takes_missing: bool = False
    """Whether the variant accepts missing values: NaN for a number, None for a string. Default: false; a nullable
    column among its inputs is then an error before the run starts."""
    output: Output
    """What the variant returns. `logits`, `probabilities`: per class, shape (rows, classes), or shape (rows,) for the
    positive one of two classes. `labels`: one class per row. `values`: one number per row."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.predictor == "callable" and self.weights is not None:
            raise ValueError(
                "weights need predictor: torch; a callable loads its own, for example from a file whose path is one of its parameters"
            )
        if self.predictor == "callable" and self.input_type != "as_frozen":
            raise ValueError("input_type needs predictor: torch; a callable receives arrays of the stored types")
        if self.weights is not None and not self.weights.endswith((".safetensors", ".pt", ".pth", ".bin")):
            raise ValueError(f"weights is '{self.weights}', but must end in .safetensors, .pt, .pth or .bin")
        twice = sorted({name for name in self.inputs if self.inputs.count(name) > 1})
        if twice:
            raise ValueError(f"inputs has '{twice[0]}' more than once")
        if self.weights is None and self.weights_digest is not None:
            raise ValueError("weights_digest is given without weights; remove it or add 'weights:'")
        return self
