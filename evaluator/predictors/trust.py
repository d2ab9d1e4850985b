"""Trust: which code an experiment may name. Its own, and that of distributions that it names; never Python's or Assay's."""

from collections.abc import Iterable, Sequence
from functools import cache, partial
from importlib import metadata

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import MOVE_IT, check_module, check_not_assays
from assay.evaluator.provenance import distributions
from assay.evaluator.provenance.module_spec import module_file, module_spec
from assay.evaluator.provenance.origin import origin_of
from assay.manifests import Arm, Suite


def check_entrypoints(arms: Iterable[Arm], *, suite: Suite, packages: Sequence[str]) -> None:
    """Checks the entrypoints of arms and the scorers of a suite, without importing any of them.

    Args:
        arms: The arms.
        suite: The suite.
        packages: The distributions that the experiment names.

    Raises:
        VariantError: A module is not one that the experiment may name.
    """
    check = cache(partial(check_entrypoint, packages=packages))
    for metric in suite.metrics:
        if metric.scorer is not None:
            try:
                check(metric.scorer)
            except VariantError as error:
                raise error.within(f"metric '{metric.name}'", field="scorer") from None
    for arm in arms:
        variant = arm.variant
        if variant.entrypoint == type(variant).model_fields["entrypoint"].default:
            continue  # fixed by the kind of variant, which is Assay's code, not by a manifest
        try:
            check(variant.entrypoint)
        except VariantError as error:
            raise error.within(f"arm '{arm.name}'") from None


def check_entrypoint(entrypoint: str, *, packages: Sequence[str]) -> None:
    """Checks that an entrypoint is in the user's own tree or in a distribution that the experiment names.

    Args:
        entrypoint: `module:function`.
        packages: The names of the distributions, however they are written (PEP 503).

    Raises:
        VariantError: The module comes from elsewhere, or has no source file.
    """
    spec = module_spec(entrypoint.partition(":")[0])
    if spec is None:  # nothing that could be run
        return
    name = check_module(entrypoint)
    check_not_assays(entrypoint, spec)
    file = module_file(spec)
    assert file is not None
    if origin_of(spec) != "installed" or distributions.owner(file, distributions.named(packages)) is not None:
        return
    owner = distributions.owner(file, metadata.distributions())
    if owner is None:
        raise VariantError(
            f"module '{name}' is installed, but belongs to no distribution that could be named",
            place=str(file),
            field="entrypoint",
            value=entrypoint,
            remedy=MOVE_IT,
        )
    raise VariantError(
        f"module '{name}' comes from {owner.name} {owner.version}, which the experiment does not name",
        field="entrypoint",
        value=entrypoint,
        bound=", ".join(("the experiment's own modules", *packages)),
        remedy=f"add 'packages: [{', '.join((*packages, owner.name))}]' to the experiment's file, or {MOVE_IT}",
    )
