"""Kinds of variants: what each of them provides, and the registry of all.

A new kind is a file with its fields in `manifests`, a module with these functions here, and a line in `Variant` and in
`KINDS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from assay.evaluator.predictors import callable as callable_function
from assay.evaluator.predictors import torch_module
from assay.evaluator.predictors.predictor import Predictor
from assay.evaluator.predictors.weights_files import WeightsFiles
from assay.evaluator.storage import Store
from assay.manifests import BaseVariant, Variant
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column

_Variant_contra = TypeVar("_Variant_contra", bound=BaseVariant, contravariant=True)


class Kind(Protocol[_Variant_contra]):
    """One kind of variant: a module with these functions."""

    def check(self, variant: _Variant_contra) -> None:
        """Imports the code of a variant and checks the variant against it, before any slot starts.

        Raises:
            VariantError: The entrypoint cannot be imported, or does not accept the variant's parameters or weights.
        """
        ...

    def check_input(self, variant: _Variant_contra, column: FrozenColumn, rules: Column | None) -> None:
        """Checks that a variant can take the values of a feature as they are frozen.

        Args:
            variant: The variant.
            column: The feature.
            rules: What the contract says about it.

        Raises:
            VariantError: The type is not one that the variant can take, or conversion would lose something.
        """
        ...

    def read_weights(self, variant: _Variant_contra, *, store_at: Callable[[str], Store], copies: Path) -> WeightsFiles:
        """Reads the weights of a variant that has some.

        Args:
            variant: The variant.
            store_at: Opens the store at a URI.
            copies: A folder for copies of weights that are not on this machine, if the kind needs paths.

        Raises:
            VariantError: The weights do not exist.
        """
        ...

    def load(
        self, variant: _Variant_contra, *, inputs: tuple[str, ...], weights: WeightsFiles | None, device: torch.device
    ) -> Predictor:
        """Loads a variant.

        Set the determinism flags and the seeds first: a torch entrypoint without weights initialises its parameters from
        torch's global generator.

        Args:
            variant: The variant.
            inputs: The feature columns that it receives, in the order of its arguments.
            weights: Its weights as `read_weights` returned them, whose digest has been checked; None if it has none.
            device: Where it runs, if it does not choose by itself.

        Raises:
            VariantError: The entrypoint or the weights cannot be used.
        """
        ...


KINDS: Mapping[str, Kind[Any]] = {
    "callable": callable_function,
    "torch": torch_module,
}
"""All kinds, by the variant's `predictor`."""


def kind_of(variant: Variant) -> Kind[Any]:
    """What a variant's kind provides."""
    return KINDS[variant.predictor]
