"""Inputs: checks, before anything is loaded, that a variant can use the dataset's columns as they are frozen."""

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.kinds import kind_of
from assay.manifests.column import FrozenColumn
from assay.manifests.dataset import Dataset
from assay.manifests.errors import did_you_mean
from assay.manifests.variant import Variant


def check_inputs(variant: Variant, dataset: Dataset) -> None:
    """Checks that every input of a variant is a feature of the dataset and can be passed on without loss.

    Raises:
        VariantError: An input is not a feature, has a type that the variant cannot take, or may have missing values
            that the variant does not declare to take. The message names the column, its type and a remedy.
    """
    frozen = {column.name: column for column in dataset.columns}
    in_contract = {column.name: column for column in dataset.contract.columns}
    for name in variant.inputs:
        _check_is_feature(name, frozen.get(name) or in_contract.get(name), dataset)
    for name in variant.inputs or dataset.names("feature"):
        column = frozen[name]
        kind_of(variant).check_input(variant, column, in_contract.get(name))
        if column.nullable and not variant.takes_missing:
            missing = "None" if column.type == "string" else "NaN"
            raise VariantError(
                f"the column '{name}' may have missing values, but the variant does not declare that it takes {missing}",
                field="inputs",
                value=column.form,
                remedy="add 'takes_missing: true' if the variant's code handles them, or leave the column out of inputs",
            )


def _check_is_feature(name: str, column: FrozenColumn | None, dataset: Dataset) -> None:
    if column is not None and column.role == "feature":
        return
    features = list(dataset.names("feature"))
    if column is None:
        raise VariantError(
            "the dataset has no such feature", field="inputs", value=name, remedy=did_you_mean(name, features)
        )
    raise VariantError(
        f"the column has the role {column.role}, but variants receive only features",
        field="inputs",
        value=name,
        bound=", ".join(features),
        remedy="give the column the role feature in the contract, and freeze the rows as a new version",
    )
