"""Tensor inputs: checks that a column, as it is frozen, can be put into a tensor without loss."""

from assay.evaluator.errors import VariantError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.torch_variant import InputType

_EXACT_BITS = {"float32": 24, "float64": 53}
"""The largest n for which the type represents every integer from -2**n to 2**n exactly."""


def check_tensor_input(column: FrozenColumn, rules: Column | None, *, input_type: InputType) -> None:
    """Checks that a feature holds numbers, and that the type of the tensor represents each of them.

    Args:
        column: The feature.
        rules: What the contract says about it.
        input_type: The tensor's type.

    Raises:
        VariantError: The column holds strings, or values that the type may not represent exactly.
    """
    _check_is_number(column)
    _check_fits(column, rules, input_type)


def _check_is_number(column: FrozenColumn) -> None:
    if column.type == "string":
        raise VariantError(
            f"the column '{column.name}' holds strings, which cannot be put into a tensor",
            field="inputs",
            value=column.form,
            bound="numbers and bools",
            remedy="list only numeric features in the variant's inputs, or use 'predictor: callable'",
        )


def _check_fits(column: FrozenColumn, rules: Column | None, wanted: InputType) -> None:
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
        value=column.form,
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
