"""Base of all variants: the fields that every kind of variant has."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import LOCATION, Digest, Manifest, Parameters
from assay.manifests.code import Digests

Location = Annotated[str, Field(min_length=1)]
Output = Literal["logits", "probabilities", "labels", "values"]


class BaseVariant(Manifest):
    """One version of a model: everything that is needed to load it on any machine.

    Each kind is a subclass with a `Literal` field `predictor`, the fields that only it has, and narrower types or
    defaults where it allows less.
    """

    kind: Literal["Variant"]
    """Always `Variant`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    entrypoint: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`module:function`, importable where slots run: next to the experiment's file, in the working directory, or in a
    distribution that the experiment's `packages` names. The module is imported and executed with the rights of whoever
    runs the experiment."""
    code: tuple[str, ...] = ()
    """Further code and data that the variant depends on but does not import: names of modules, and files, folders or
    globs relative to the folder of the experiment's file. A change of any of them is a change of the variant. Default:
    none. What the module imports from your own tree is always part of it."""
    code_digest: Digest | None = None
    """Digest of the code: every module of your own tree that the entrypoint's module imports, the versions of the
    installed packages that these import, and what `code` names. Null (default): filled in when a run starts. Set it to
    pin the code: it must match."""
    parameters: Parameters = Field(default_factory=dict, validate_default=True)
    """Keyword arguments of the entrypoint. Default: none."""
    weights: Location | Annotated[tuple[Location, ...], Field(min_length=1)] | None = Field(
        default=None, json_schema_extra=LOCATION
    )
    """The model's files. Null (default): none."""
    weights_digest: Digest | None = None
    """The sha256 of the weights: of the file, or of the names and digests of all files. Null (default): filled in when
    a run starts. Set it to pin the weights: they must match."""
    opened: Digests = Field(default_factory=dict, validate_default=True)
    """Files that the code was seen to open in an earlier run and that have changed since, by their path relative to the
    experiment's folder. Filled in when a run starts; leave it out."""
    inputs: tuple[str, ...] = ()
    """The feature columns that the variant receives, in the order of its arguments. Empty (default): all features."""
    takes_missing: bool = False
    """Whether the variant accepts missing values: NaN for a number, None for a string. Default: false; a nullable
    column among its inputs is then an error before the run starts."""
    output: Output
    """What the variant returns. `logits`, `probabilities`: per class, shape (rows, classes), or shape (rows,) for the
    positive one of two classes. `labels`: one class per row. `values`: one number per row."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        twice = sorted({name for name in self.inputs if self.inputs.count(name) > 1})
        if twice:
            raise ValueError(f"inputs has '{twice[0]}' more than once")
        if self.weights is None and self.weights_digest is not None:
            raise ValueError("weights_digest is given without weights; remove it or add 'weights:'")
        return self

    def base_digest(self) -> str:
        """The digest of the variant without the files that its code was seen to open."""
        return self.model_copy(update={"opened": {}}).digest()

    @property
    def weights_locations(self) -> tuple[str, ...]:
        """The locations that `weights` names; none if it is null."""
        if self.weights is None:
            return ()
        return (self.weights,) if isinstance(self.weights, str) else self.weights
