"""Inputs: checks, before anything is loaded, that a variant can use the dataset's columns as they are frozen."""

from assay.evaluator.errors import VariantError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from assay.manifests.errors import did_you_mean
from assay.manifests.variant import Variant

_EXACT_BITS = {"float32": 24, "float64": 53}
"""The largest n for which the type represents every integer from -2**n to 2**n exactly."""


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
        if variant.predictor == "torch":
            _check_is_number(column)
            _check_fits(column, in_contract.get(name), variant)
        if column.nullable and not variant.takes_missing:
            missing = "None" if column.type == "string" else "NaN"
            raise VariantError(
                f"the column '{name}' may have missing values, but the variant does not declare that it takes {missing}",
                field="inputs",
                value=_description(column),
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


def _check_is_number(column: FrozenColumn) -> None:
    if column.type == "string":
        raise VariantError(
            f"the column '{column.name}' holds strings, which cannot be put into a tensor",
            field="inputs",
            value=_description(column),
            bound="numbers and bools",
            remedy="list only numeric features in the variant's inputs, or use 'predictor: callable'",
        )


def _check_fits(column: FrozenColumn, rules: Column | None, variant: Variant) -> None:
    wanted = variant.input_type
    if wanted in ("as_frozen", "float32_rounded") or _fits(column, rules, wanted):
        return
    is_integer = not column.type.startswith("float")
    bound = f"integers up to {1 << _EXACT_BITS[wanted]:,}" if is_integer else wanted
    remedies = ["freeze the column as a type that fits"]
    if is_integer:
        remedies.append("give it a minimum and a maximum in the contract")
    if wanted == "float32":
        remedies.append("use 'input_type: float32_rounded' if rounding is acceptable")
    raise VariantError(
        f"the column '{column.name}' cannot be converted to {wanted} without loss",
        field="input_type",
        value=_description(column),
        bound=bound,
        remedy="; or ".join(remedies),
    )


def _fits(column: FrozenColumn, rules: Column | None, wanted: str) -> bool:
    """Whether the wanted type represents every value that the column may hold, given the contract's rules for it."""
    if column.type in ("bool", "float32", wanted):
        return True
    if column.type == "float64":
        return False
    # The sign bit does not matter here: no integer type has 25 or 54 bits.
    num_bits = int(column.type.removeprefix("u").removeprefix("int"))
    if num_bits <= _EXACT_BITS[wanted]:
        return True
    if rules is None or rules.minimum is None or rules.maximum is None:
        return False
    is_enforced = not {"minimum", "maximum"} & {*rules.warn}
    return is_enforced and max(abs(rules.minimum), abs(rules.maximum)) <= 1 << _EXACT_BITS[wanted]


def _description(column: FrozenColumn) -> str:
    shape = "x".join(map(str, column.shape))
    return f"{column.name}: {'nullable ' * column.nullable}{column.type}{f'[{shape}]' if shape else ''}"
