"""Inputs: whether a variant can be given the columns of a dataset as they are frozen, asked before anything is loaded."""

from assay.evaluator.errors import VariantError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from assay.manifests.errors import did_you_mean
from assay.manifests.variant import Variant

_EXACT_BITS = {"float32": 24, "float64": 53}
"""Whole numbers of so many bits are held by the type, every one."""


def check_inputs(variant: Variant, dataset: Dataset) -> None:
    """Refuses a variant whose inputs are not there, or do not reach it without loss.

    Raises:
        VariantError: Naming the column, its type and what to do.
    """
    known = {column.name: column for column in dataset.columns}
    promised = {column.name: column for column in dataset.contract.columns}
    for name in variant.inputs:
        _check_is_feature(name, known.get(name) or promised.get(name), dataset)
    for name in variant.inputs or dataset.names("feature"):
        column = known[name]
        if variant.predictor == "torch":
            _check_is_number(column)
            _check_fits(column, promised.get(name), variant)
        if column.nullable and not variant.takes_missing:
            missing = "None" if column.type == "string" else "NaN"
            raise VariantError(
                f"the column '{name}' may have no value, and the variant does not say that it takes {missing}",
                field="inputs",
                value=_in_words(column),
                remedy="write 'takes_missing: true' if its code does; or name inputs without the column",
            )


def _check_is_feature(name: str, column: FrozenColumn | None, dataset: Dataset) -> None:
    if column is not None and column.role == "feature":
        return
    known = list(dataset.names("feature"))
    if column is None:
        raise VariantError(
            "the dataset has no such feature", field="inputs", value=name, remedy=did_you_mean(name, known)
        )
    raise VariantError(
        f"the column has the role {column.role}, and variants are given features alone",
        field="inputs",
        value=name,
        bound=", ".join(known),
        remedy="give it the role feature in the contract, and freeze the rows under a new version",
    )


def _check_is_number(column: FrozenColumn) -> None:
    if column.type == "string":
        raise VariantError(
            f"the column '{column.name}' holds texts, which no tensor can",
            field="inputs",
            value=_in_words(column),
            bound="numbers and bools",
            remedy="name the numeric features in the variant's inputs, or write 'predictor: callable'",
        )


def _check_fits(column: FrozenColumn, promised: Column | None, variant: Variant) -> None:
    wanted = variant.input_type
    if wanted in ("as_frozen", "float32_rounded") or _fits(column, promised, wanted):
        return
    is_whole = not column.type.startswith("float")
    bound = f"whole numbers up to {1 << _EXACT_BITS[wanted]:,}" if is_whole else wanted
    ways = ["freeze the column as a type that fits"]
    if is_whole:
        ways.append("bound it by minimum and maximum in the contract")
    if wanted == "float32":
        ways.append("write 'input_type: float32_rounded' if rounding is meant")
    raise VariantError(
        f"the column '{column.name}' cannot be given as {wanted} without loss",
        field="input_type",
        value=_in_words(column),
        bound=bound,
        remedy="; or ".join(ways),
    )


def _fits(column: FrozenColumn, promised: Column | None, wanted: str) -> bool:
    """Whether every value that the column may hold is a value of the wanted type."""
    if column.type in ("bool", "float32", wanted):
        return True
    if column.type == "float64":
        return False
    num_bits = int(column.type.removeprefix("u").removeprefix("int"))  # the sign's decides nothing: none has 25 or 54
    if num_bits <= _EXACT_BITS[wanted]:
        return True
    if promised is None or promised.minimum is None or promised.maximum is None:
        return False
    is_sure = not {"minimum", "maximum"} & {*promised.warn}
    return is_sure and max(abs(promised.minimum), abs(promised.maximum)) <= 1 << _EXACT_BITS[wanted]


def _in_words(column: FrozenColumn) -> str:
    shape = "x".join(map(str, column.shape))
    return f"{column.name}: {'nullable ' * column.nullable}{column.type}{f'[{shape}]' if shape else ''}"
