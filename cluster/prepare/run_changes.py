"""Changes between two runs of one experiment: what a person changed, in one line each, before anything is evaluated."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.storage import Store
from assay.manifests import Variant
from assay.manifests.code import Code
from assay.manifests.run import Run

_NUM_ARMS = 3
"""Arms named per change; the others are counted."""


def previous_run(run: Run, past: Sequence[OpenedRun], store: Store) -> Run | None:
    """The latest other run of the same experiment that this release can read; None if there is none.

    Args:
        run: The run.
        past: The runs of the ledger, oldest first.
        store: The ledger.
    """
    pattern = re.compile(rf"{re.escape(run.experiment.name)}-[0-9a-f]{{12}}(\.\d+)?")
    for each in reversed(past):
        if each.run_id != run.run_id and pattern.fullmatch(each.run_id):
            with suppress(DamageError):  # `assay ledger verify` names it
                return reader.read_run(store, each.run_id)
    return None


def changes(earlier: Run, now: Run) -> tuple[str, ...]:
    """What differs between two runs and can change scores, decisions or the set of arms, in one line each."""
    lines: list[str] = []
    if earlier.dataset_digest != now.dataset_digest:
        lines.append(f"dataset: {earlier.experiment.dataset} -> {now.experiment.dataset}")
    before, after = flat(earlier.experiment.suite.content()), flat(now.experiment.suite.content())
    lines += [f"suite.{each.field}: {each.recorded} -> {each.now}" for each in lineage.changes(before, after)]
    identity = lineage.changes(flat(earlier.lineage.identity), flat(now.lineage.identity))
    lines += [f"environment {each.field}: {each.recorded} -> {each.now}" for each in identity]
    before, after = ({arm.name: arm.variant for arm in run.experiment.arms} for run in (earlier, now))
    code = {each.digest(): each for each in (*earlier.code, *now.code)}
    affected: dict[str, list[str]] = {}
    for name in {**before, **after}:
        for change in _variant_changes(before.get(name), after.get(name), code):
            affected.setdefault(change, []).append(name)
    lines += [f"{_named(names)}: {change}" for change, names in affected.items()]
    return tuple(lines)


def _variant_changes(before: Variant | None, after: Variant | None, code: Mapping[str, Code]) -> Iterator[str]:
    if before is None or after is None:
        yield "new" if before is None else "no longer in the experiment"
        return
    if before.code_digest != after.code_digest:
        yield from code[str(before.code_digest)].changes(code[str(after.code_digest)])
    if before.weights_digest != after.weights_digest:
        yield f"weights: {before.weights_digest} -> {after.weights_digest}"
    for each in lineage.changes(flat(before.content()), flat(after.content())):
        if each.field.startswith("opened."):
            yield f"file {each.field.removeprefix('opened.')}: changed"
        elif each.field not in ("code_digest", "weights_digest"):
            yield f"{each.field}: {each.recorded} -> {each.now}"


def _named(arms: list[str]) -> str:
    shown = ", ".join(sorted(arms)[:_NUM_ARMS])
    others = f" and {len(arms) - _NUM_ARMS} more" if len(arms) > _NUM_ARMS else ""
    return f"arm{'s' if len(arms) > 1 else ''} {shown}{others}"
