"""Plans and samples shared by tests of analyses."""

import numpy as np

from assay.manifests.guardrail import MetricGuardrail
from assay.manifests.plan import Plan, PlanColumns
from assay.manifests.policy import Policy
from assay.stats.samples.columns import from_wide

IMPROVEMENT = Policy(kind="Policy", version=1)
NON_INFERIORITY = Policy(kind="Policy", version=1, promote_on="non_inferiority")


def plan(*, columns=None, **changes):
    """A plan with control `control` and these changes."""
    return Plan(kind="Plan", version=1, control="control", columns=PlanColumns(**columns or {}), **changes)


def holding(*metrics, margin=0.1):
    """Guardrails of a plan: metrics with one margin."""
    return tuple(MetricGuardrail(kind="metric", metric=metric, margin=margin) for metric in metrics)


def samples_of(scores_RA, **columns):
    """Samples of arms control, a, b, ... on numbered rows."""
    scores_RA = np.asarray(scores_RA, dtype=np.float64)
    arms = ("control", *"abcdefghij")[: scores_RA.shape[1]]
    return from_wide(arms, np.arange(len(scores_RA)), scores_RA, **columns)


def correlated(num_rows, gains, *, seed=0, shared=1.0):
    """Scores of arms that share each row's difficulty, shifted by their gains."""
    rng = np.random.default_rng(seed)
    return shared * rng.normal(size=(num_rows, 1)) + rng.normal(size=(num_rows, len(gains))) + np.asarray(gains)


def differing(*means, num_rows=400, seed=0):
    """Control and variants whose differences have exactly these means and standard deviation 1.

    Of 400 rows and one variant, the 95 % interval is the mean +- 1.9659 / 20 = 0.0983 (Student, 399 degrees).
    """
    rng = np.random.default_rng(seed)
    control = rng.normal(size=num_rows)
    drawn = [rng.normal(size=num_rows) for _ in means]
    others = [control + (d - d.mean()) / d.std(ddof=1) + mean for d, mean in zip(drawn, means, strict=True)]
    return samples_of(np.stack([control, *others], axis=1))
