"""Simulates the guarantees of the analysis: family-wise error, simultaneous coverage, and false promotions.

    python scripts/simulate_error_rates.py [--quick] [--replicates N]

Draws scores from worlds whose truth is known, analyses each replicate as a user would, and prints the Markdown table of
`stats/ERROR_RATES.md`. For the scores of a recorded run, use `assay gate calibrate RUN`.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assay.manifests.plan import Plan, PlanColumns
from assay.manifests.policy import Policy
from assay.stats import analysis
from assay.stats.corpus.class_counts import Classes
from assay.stats.corpus.corpus_samples import CorpusStatistic, corpus_samples
from assay.stats.corpus.ranked import Ranked
from assay.stats.gate import decide
from assay.stats.samples.samples import Samples

ALPHA = 0.05
LOW, HIGH = 0.04, 0.06


@dataclass(frozen=True)
class World:
    """A distribution of scores.

    Attributes:
        label: Its name in the table.
        num_arms: Number of arms k.
        num_rows: Number of rows n.
        correlation: Correlation of two arms' scores on a row.
        family: `dunnett` or `tukey`.
        kind: `normal`, `clones` (sphericity violated), `skewed`, `binary`, or the corpus metrics `auroc` and `f1`.
        icc: Intraclass correlation of an arm's own component in clusters of 20 rows; None without clusters.
        chance: Probability of a 1, for binary scores.
    """

    label: str
    num_arms: int
    num_rows: int
    correlation: float = 0.5
    family: str = "dunnett"
    kind: str = "normal"
    icc: float | None = None
    chance: float = 0.95


CLUSTER_SIZE = 20
SHARE_POSITIVE = 0.3


def worlds() -> Iterator[World]:
    """All worlds of the table."""
    for num_arms in (3, 5, 10):
        for num_rows in (30, 200, 2000):
            for correlation in (0.0, 0.5, 0.8, 0.95):
                if num_arms < 10 or correlation in (0.0, 0.95):
                    yield World("normal", num_arms, num_rows, correlation)
    for num_arms in (3, 5):
        for num_rows in (30, 2000):
            yield World("normal, all pairs", num_arms, num_rows, 0.8, "tukey")
    for family in ("dunnett", "tukey"):
        for num_rows in (30, 200, 2000):
            yield World("near-clones and one outlier", 5, num_rows, 0.8, family, "clones")
    for num_rows in (30, 200, 2000):
        yield World("skewed differences", 3, num_rows, 0.5, kind="skewed")
    for icc in (0.0, 0.05, 0.2, 0.5):
        for num_clusters in (30, 100):
            yield World(f"{num_clusters} clusters, ICC {icc}", 5, num_clusters * CLUSTER_SIZE, icc=icc)
    for chance in (0.7, 0.95):
        for num_arms in (2, 3, 5, 10):
            for num_rows in (30, 200, 2000):
                if num_arms < 10 or num_rows == 2000:
                    yield World(f"binary, {chance:.0%} right", num_arms, num_rows, 0.8, kind="binary", chance=chance)
    for kind in ("auroc", "f1"):
        for num_rows in (200, 2000):
            yield World(f"{kind}, 30% positive", 5, num_rows, 0.8, kind=kind)


def drawn(world: World, rng: np.random.Generator, *, null: bool) -> tuple[Samples, np.ndarray]:
    """One replicate, and the true means of the arms."""
    arms, rows = tuple(str(arm) for arm in range(world.num_arms)), np.arange(world.num_rows)
    latent, gains = _latent(world, rng, null=null)
    if world.kind in ("auroc", "f1"):
        statistic, truth = _answers(world, latent, gains, rng)
        return corpus_samples(statistic, arms=arms, row_ids=rows), truth
    if world.kind == "binary":
        chances = world.chance - gains * (1 - world.chance)
        return Samples(arms, (latent < special.ndtri(chances)).astype(float), rows), chances
    clusters = rows // CLUSTER_SIZE if world.icc is not None else None
    return Samples(arms, latent + gains, rows, clusters_R=clusters), gains


def _answers(
    world: World, latent: np.ndarray, gains: np.ndarray, rng: np.random.Generator
) -> tuple[CorpusStatistic, np.ndarray]:
    """Predictions for labels of which 30 % are positive, and the true value of the metric."""
    positive = rng.random(world.num_rows) < SHARE_POSITIVE
    if world.kind == "auroc":
        scores = latent + positive[:, None] * (1 + gains)
        return Ranked(scores[None], positive[None]), special.ndtr((1 + gains) / 2**0.5)
    hit, false = 0.7 + gains / 4, 0.1
    predicted = latent < special.ndtri(np.where(positive[:, None], hit, false))
    true_positive = SHARE_POSITIVE * hit
    f1 = 2 * true_positive / (SHARE_POSITIVE + true_positive + (1 - SHARE_POSITIVE) * false)
    return Classes("f1", (0, 1), positive.astype(np.int32), predicted.astype(np.int32)), f1


def _latent(world: World, rng: np.random.Generator, *, null: bool) -> tuple[np.ndarray, np.ndarray]:
    """Latent scores with unit variance, rows x arms, and how much better each arm is."""
    shape = world.num_rows, world.num_arms
    gains = np.zeros(world.num_arms) if null else np.linspace(0, 0.5, world.num_arms)
    shared = world.correlation**0.5 * rng.normal(size=(world.num_rows, 1))
    own = rng.normal(size=shape)
    if world.kind == "skewed":
        own = rng.exponential(size=shape) - 1
    if world.kind == "clones":  # the first arms differ by a tenth of what the last one does
        own[:, :-1] = own[:, :1] + 0.1 * own[:, :-1]
    if world.icc is not None:
        part = rng.normal(size=(world.num_rows // CLUSTER_SIZE, world.num_arms))
        own = (1 - world.icc) ** 0.5 * own + world.icc**0.5 * np.repeat(part, CLUSTER_SIZE, axis=0)
    return shared + (1 - world.correlation) ** 0.5 * own, gains


def counts_of(block: tuple[World, int, int]) -> np.ndarray:
    """Counts over some replicates: omnibus rejects, family rejects, all intervals cover, an arm is promoted, usable.

    Coverage only counts replicates in which no two arms agree on every row: such a pair is flagged `identical` and has
    the interval [0, 0].
    """
    world, first, num = block
    columns = PlanColumns(cluster="c" if world.icc is not None else None)
    scale = "binary" if world.kind == "binary" else "continuous"
    plan = Plan(kind="Plan", version=1, control="0", family=world.family, scale=scale, columns=columns)
    policy = Policy(kind="Policy", version=1)
    counts = np.zeros(5)
    for replicate in range(first, first + num):
        rng = np.random.default_rng([20_260_101, replicate])
        samples, _ = drawn(world, rng, null=True)
        result = analysis.analyze(samples, plan)
        test = result.omnibus
        p_value = None if test is None else test.p_value_corrected or test.p_value
        counts[0] += p_value is not None and p_value <= ALPHA
        counts[1] += any(each.p_adjusted is not None and each.p_adjusted <= ALPHA for each in result.comparisons)
        counts[3] += any(each.decision == "promote" for each in decide.decide(result, policy, plan))
        samples, truth = drawn(world, rng, null=False)
        result = analysis.analyze(samples, plan)
        if not any(each.degenerate for each in result.comparisons):
            counts[4] += 1
            counts[2] += all(_covers(each, truth) for each in result.comparisons)
    return counts


def _covers(comparison: analysis.Comparison, truth: np.ndarray) -> bool:
    difference = truth[int(comparison.arm)] - truth[int(comparison.reference)]
    return comparison.ci_low is not None and comparison.ci_low <= difference <= comparison.ci_high


def verdict(rate: float, *, chance: float) -> str:
    """Whether an error rate is in its range, given the chance variation of this many replicates."""
    if LOW <= rate <= HIGH:
        return "yes"
    if LOW - chance <= rate <= HIGH + chance:
        return "within chance"
    return "NO" if rate > HIGH else "conservative"


def simulated(num_replicates: int, *, chosen: list[World]) -> int:
    """Prints the table; returns 1 if an error rate exceeds its bound by more than chance."""
    size = 25
    blocks = [(first, min(size, num_replicates - first)) for first in range(0, num_replicates, size)]
    chance = 2 * (ALPHA * (1 - ALPHA) / num_replicates) ** 0.5
    print(f"{num_replicates} replicates, alpha {ALPHA}; a rate of 0.05 is known within {chance:.3f} (2 SE)\n")
    print(
        "| world | arms | rows | correlation | family | omnibus | family-wise error | coverage | promoted | 0.04-0.06 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    above = 0
    with ProcessPoolExecutor() as pool:
        for world in chosen:
            jobs = [(world, first, num) for first, num in blocks]
            counts = sum(pool.map(counts_of, jobs), start=np.zeros(5))
            rates, coverage = counts / num_replicates, counts[2] / max(counts[4], 1)
            above += rates[1] > HIGH + 1.5 * chance
            print(
                f"| {world.label} | {world.num_arms} | {world.num_rows} | {world.correlation} | {world.family} "
                f"| {rates[0]:.3f} | {rates[1]:.3f} | {coverage:.3f} | {rates[3]:.3f} | {verdict(rates[1], chance=chance)} |",
                flush=True,
            )
    return int(above > 0)


def main() -> None:
    """Reads the options and runs the simulation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, help="per world; default 2000, with --quick 100")
    parser.add_argument("--only", default="", help="only worlds whose label contains this text")
    parser.add_argument("--quick", action="store_true", help="every fifth world, 100 replicates")
    options = parser.parse_args()
    started = time.monotonic()
    chosen = [world for world in worlds() if options.only in world.label][:: 5 if options.quick else 1]
    code = simulated(options.replicates or (100 if options.quick else 2000), chosen=chosen)
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
