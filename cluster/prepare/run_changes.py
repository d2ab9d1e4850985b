"""Changes between two runs of one experiment: what a person changed, in one line each, before anything is evaluated."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from assay.cluster.prepare import reuse
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
    for each in _earlier(run, past):
        with suppress(DamageError):  # `assay ledger verify` names it
            return reader.read_run(store, each.run_id)
    return None


def _earlier(run: Run, past: Sequence[OpenedRun]) -> Iterator[OpenedRun]:
    """The other runs of the same experiment, the latest first."""
    pattern = re.compile(rf"{re.escape(run.experiment.name)}-[0-9a-f]{{12}}(\.\d+)?")
    return (each for each in reversed(past) if each.run_id != run.run_id and pattern.fullmatch(each.run_id))


class ArmReasons:
    """Why each arm of a run has to be scored: what has changed since the latest earlier run that has the arm."""

    def __init__(self, run: Run, past: Sequence[OpenedRun], store: Store) -> None:
        """Reads nothing; arguments as for `previous_run`."""
        self._run, self._store = run, store
        self._earlier = tuple(_earlier(run, past))
        self._read: dict[str, Run | None] = {}

    def of(self, arm: str) -> str:
        """The reason why an arm has to be scored, in one sentence."""
        for each in self._earlier:
            earlier = self._record(each.run_id) if arm in each.keys else None
            if earlier is None:
                continue
            if each.keys[arm] == self._run.unit_keys[arm]:
                return (
                    f"scored again, because run {each.run_id} has not scored all of its units, or they cannot be reused"
                )
            changed = "; ".join(_arm_changes(earlier, self._run, arm))
            return f"scored again, because of changes since run {each.run_id} ({changed})"
        return "new"

    def _record(self, run_id: str) -> Run | None:
        if run_id not in self._read:
            self._read[run_id] = None
            with suppress(DamageError):
                self._read[run_id] = reader.read_run(self._store, run_id)
        return self._read[run_id]


def _arm_changes(earlier: Run, now: Run, arm: str) -> Iterator[str]:
    """What differs in the parts of one arm's unit key."""
    before, after = (next(each.variant for each in run.experiment.arms if each.name == arm) for run in (earlier, now))
    yield from _variant_changes(before, after, {each.digest(): each for each in (*earlier.code, *now.code)})
    shared_before, shared_after = (
        reuse.shared_parts(
            run.experiment,
            dataset_digest=run.dataset_digest,
            num_rows=run.dataset_check.num_rows,
            environment=run.lineage.identity,
        )
        for run in (earlier, now)
    )
    for each in lineage.changes(flat(shared_before), flat(shared_after)):
        name, _, rest = each.field.partition(".")
        if name == "rows_per_unit":  # follows from the dataset and the batch size
            continue
        if name == "dataset":
            yield f"dataset: {earlier.experiment.dataset} -> {now.experiment.dataset}"
        elif name == "environment":
            yield f"environment: {rest} {each.recorded} -> {each.now}"
        elif name in ("scores", "probabilities"):
            yield "suite.metrics"
        else:
            yield f"suite.{each.field}: {each.recorded} -> {each.now}"
    plan, timed_before = now.experiment.suite.plan, earlier.experiment.suite.plan.num_timed_batches
    if arm == plan.control:
        return
    if timed_before != plan.num_timed_batches:
        yield f"batches timed beside the control: {timed_before} -> {plan.num_timed_batches}"
    elif timed_before and earlier.variant_digests.get(plan.control) != now.variant_digests.get(plan.control):
        yield "the variant of the control, beside which it is timed"


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
    lines += [f"{named(names)}: {change}" for change, names in affected.items()]
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
            yield f"file {each.field.removeprefix('opened.')} has changed"
        elif each.field not in ("code_digest", "weights_digest"):
            yield f"{each.field}: {each.recorded} -> {each.now}"


def named(arms: Sequence[str]) -> str:
    """Some arms by name, and the number of the others."""
    shown = ", ".join(sorted(arms)[:_NUM_ARMS])
    others = f" and {len(arms) - _NUM_ARMS} more" if len(arms) > _NUM_ARMS else ""
    return f"arm{'s' if len(arms) > 1 else ''} {shown}{others}"
