"""Missing scores: applies the plan's rule, and reports how arms differ in them and how much they could matter.

Axes: R rows, A arms.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assay.manifests.missingness import ArmMissingness, Missingness, MissingRule
from assay.stats.distributions import multiplicity, proportions
from assay.stats.errors import SamplesError
from assay.stats.samples.samples import Samples

Direction = Literal["higher", "lower"]
_NUM_NAMED = 5


@dataclass(frozen=True, eq=False)
class Complete:
    """Samples without missing scores, and a record of what was missing (None: nothing was)."""

    samples: Samples
    missingness: Missingness | None


def completed(samples: Samples, *, rule: MissingRule, direction: Direction, scale: str, control: str) -> Complete:
    """Applies the rule for missing scores to paired scores.

    `worst` replaces a missing score by the worse of 0 and 1 on a binary scale, else by the worst score of any arm on
    any row.

    Args:
        samples: Paired scores.
        rule: The plan's rule.
        direction: Which direction is better.
        scale: The plan's scale.
        control: The control's name.

    Raises:
        SamplesError: Scores are missing and the rule is `refuse`, an arm has no scores at all, or no row is left.
    """
    if samples.are_bits:
        return Complete(samples, None)
    missing_RA = np.isnan(samples.scores_RA)
    if not missing_RA.any():
        return Complete(samples, None)
    _refuse_empty_arms(samples)
    if rule == "refuse":
        raise _refusal(samples, missing_RA)
    low, high = _extremes(samples, scale)
    worst = low if direction == "higher" else high
    any_R: NDArray[np.bool_] = np.asarray(missing_RA.any(axis=1))
    missingness = Missingness(
        rule=rule,
        num_rows_given=samples.num_rows,
        num_rows_left_out=int(any_R.sum()) if rule == "listwise" else 0,
        worst_score=worst if rule == "worst" else None,
        arms=_by_arm(samples, missing_RA, control=samples.index(control), least=low, most=high),
    )
    if rule == "worst":
        return Complete(replace(samples, kept_RA=np.where(missing_RA, worst, samples.scores_RA)), missingness)
    if any_R.all():
        raise SamplesError(
            f"none of the {samples.num_rows} rows has a score in every arm",
            field="missing",
            value=rule,
            remedy="check that all arms scored the same rows",
        )
    return Complete(samples.subset(~any_R), missingness)


def completed_unpaired(samples: Samples, *, rule: MissingRule, direction: Direction, scale: str) -> Complete:
    """Applies the rule for missing scores to unpaired scores.

    Arguments and errors are those of `completed`; `listwise` removes the line from its own arm only. `worst` cannot
    be combined with segments or clusters (SamplesError).
    """
    _refuse_empty_arms(samples)
    num_missing_A = samples.num_missing_A
    if num_missing_A is None or not num_missing_A.any():
        return Complete(samples, None)
    if rule == "refuse":
        index = int(np.argmax(num_missing_A > 0))
        raise SamplesError(
            f"{int(num_missing_A[index])} lines of arm '{samples.arms[index]}' have no score",
            field="missing",
            value=rule,
            remedy="score them, or set 'missing: worst' or 'missing: listwise' in the plan",
        )
    low, high = _extremes(samples, scale)
    worst = low if direction == "higher" else high
    num_given_A = (~np.isnan(samples.scores_RA)).sum(axis=0) + num_missing_A
    missingness = Missingness(
        rule=rule,
        num_rows_given=int(num_given_A.sum()),
        num_rows_left_out=int(num_missing_A.sum()) if rule == "listwise" else 0,
        worst_score=worst if rule == "worst" else None,
        arms=tuple(
            ArmMissingness(
                arm=arm,
                num_missing=int(count),
                rate=float(count / given),
                p_value=None,
                estimate_low=None,
                estimate_high=None,
            )
            for arm, count, given in zip(samples.arms, num_missing_A, num_given_A, strict=True)
        ),
    )
    if rule == "listwise":
        return Complete(samples, missingness)
    if samples.segments_R is not None or samples.clusters_R is not None:
        raise SamplesError(
            "missing scores cannot be replaced by the worst score in an unpaired design with segments or clusters",
            field="missing",
            value=rule,
            bound="refuse, listwise",
        )
    columns = [
        np.sort(np.concatenate([column[~np.isnan(column)], np.full(count, worst)]))
        for column, count in zip(samples.scores_RA.T, num_missing_A, strict=True)
    ]
    scores_RA = np.full((max(map(len, columns)), len(columns)), np.nan)
    for index, column in enumerate(columns):
        scores_RA[: len(column), index] = column
    filled = replace(samples, kept_RA=scores_RA, row_ids=np.arange(len(scores_RA)), num_missing_A=None)
    return Complete(filled, missingness)


def _extremes(samples: Samples, scale: str) -> tuple[float, float]:
    if scale == "binary" and samples.num_repeats == 1:
        return 0.0, 1.0
    return float(np.nanmin(samples.scores_RA)), float(np.nanmax(samples.scores_RA))


def _refuse_empty_arms(samples: Samples) -> None:
    empty_A = np.isnan(samples.scores_RA).all(axis=0)
    if empty_A.any():
        raise SamplesError(
            f"arm '{samples.arms[int(np.argmax(empty_A))]}' has no score at all",
            field="arm",
            remedy="remove an arm that could not be measured from the scores, and report it as failed",
        )


def _refusal(samples: Samples, missing_RA: NDArray[np.bool_]) -> SamplesError:
    index = int(np.argmax(missing_RA.any(axis=0)))
    rows = samples.row_ids[missing_RA[:, index]]
    named = ", ".join(str(row) for row in rows[:_NUM_NAMED]) + (", ..." if len(rows) > _NUM_NAMED else "")
    num_arms = int(missing_RA.any(axis=0).sum())
    others = f" ({num_arms} arms lack scores)" if num_arms > 1 else ""
    return SamplesError(
        f"arm '{samples.arms[index]}' has no score for {len(rows)} of {samples.num_rows} rows: {named}{others}",
        field="missing",
        value="refuse",
        remedy="score these rows, or set 'missing: worst' or 'missing: listwise' in the plan",
    )


def _by_arm(
    samples: Samples, missing_RA: NDArray[np.bool_], *, control: int, least: float, most: float
) -> tuple[ArmMissingness, ...]:
    scores_RA = samples.scores_RA
    others = [index for index in range(len(samples.arms)) if index != control]
    raw = []
    for index in others:
        only_arm = int((missing_RA[:, index] & ~missing_RA[:, control]).sum())
        only_control = int((missing_RA[:, control] & ~missing_RA[:, index]).sum())
        raw.append(1.0 if only_arm + only_control == 0 else proportions.mcnemar_midp(only_arm, only_control))
    p_values = dict(zip(others, multiplicity.adjust(raw, method="holm"), strict=True)) if others else {}
    arms = []
    for index, arm in enumerate(samples.arms):
        low = high = None
        if index != control:
            low, high = (
                float(
                    np.mean(
                        np.where(missing_RA[:, index], fill, scores_RA[:, index])
                        - np.where(missing_RA[:, control], fill_control, scores_RA[:, control])
                    )
                )
                for fill, fill_control in ((least, most), (most, least))
            )
        num_missing = int(missing_RA[:, index].sum())
        rate = num_missing / samples.num_rows
        arms.append(
            ArmMissingness(
                arm=arm,
                num_missing=num_missing,
                rate=rate,
                p_value=p_values.get(index),
                estimate_low=low,
                estimate_high=high,
            )
        )
    return tuple(arms)
