"""Changes between two runs of one experiment: what a person changed, in one line each, before anything is evaluated."""

import re
from collections.abc import Iterator

from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.storage import Store
from assay.manifests import Arm
from assay.manifests.run import Run

_DIGEST_PARTS = {"code_digest", "weights_digest", "scorer_digest"}
_NUM_ARMS = 3
"""Arms named per change; the others are counted."""


def previous_run(run: Run, store: Store) -> Run | None:
    """The latest other run of the same experiment that the ledger has and this release can read; None if there is none."""
    pattern = re.compile(rf"{re.escape(run.experiment.name)}-[0-9a-f]{{12}}(\.\d+)?")
    others = []
    for each in reader.runs(store):
        if each.run_id != run.run_id and pattern.fullmatch(each.run_id):
            try:
                others.append(reader.read_run(store, each.run_id))
            except DamageError:  # `assay ledger verify` names it
                continue
    return max(others, key=lambda each: each.opened_at, default=None)


def changes(earlier: Run, now: Run) -> tuple[str, ...]:
    """What differs between two runs and can change scores, decisions or the set of arms, in one line each."""
    lines: list[str] = []
    if earlier.dataset_digest != now.dataset_digest:
        lines.append(f"dataset: {earlier.experiment.dataset} -> {now.experiment.dataset}")
    before, after = flat(earlier.experiment.suite.content()), flat(now.experiment.suite.content())
    lines += [f"suite.{each.field}: {each.recorded} -> {each.now}" for each in lineage.changes(before, after)]
    identity = lineage.changes(flat(earlier.lineage.identity), flat(now.lineage.identity))
    lines += [f"environment {each.field}: {each.recorded} -> {each.now}" for each in identity]
    arms = {arm.name: arm for arm in earlier.experiment.arms}
    names_now = [arm.name for arm in now.experiment.arms]
    affected: dict[str, list[str]] = {}
    for name in arms.keys() - set(names_now):
        affected.setdefault("no longer in the experiment", []).append(name)
    for arm in now.experiment.arms:
        for change in _arm_changes(arms[arm.name], arm, earlier, now) if arm.name in arms else ("new",):
            affected.setdefault(change, []).append(arm.name)
    lines += [f"{_named(names)}: {change}" for change, names in affected.items()]
    return tuple(lines)


def _arm_changes(earlier: Arm, now: Arm, earlier_run: Run, run: Run) -> Iterator[str]:
    before, after = earlier.variant, now.variant
    if before.code_digest != after.code_digest:
        code = {each.digest(): each for each in (*earlier_run.code, *run.code)}
        yield from code[str(before.code_digest)].changes(code[str(after.code_digest)])
    if before.weights_digest != after.weights_digest:
        yield f"weights: {before.weights_digest} -> {after.weights_digest}"
    for each in lineage.changes(flat(before.content()), flat(after.content())):
        if each.field.startswith("opened."):
            yield f"file {each.field.removeprefix('opened.')}: changed"
        elif each.field not in _DIGEST_PARTS:
            yield f"{each.field}: {each.recorded} -> {each.now}"


def _named(arms: list[str]) -> str:
    shown = ", ".join(sorted(arms)[:_NUM_ARMS])
    others = f" and {len(arms) - _NUM_ARMS} more" if len(arms) > _NUM_ARMS else ""
    return f"arm{'s' if len(arms) > 1 else ''} {shown}{others}"
