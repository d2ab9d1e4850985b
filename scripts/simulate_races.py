"""Simulates races: how often the arm that is best on the whole dataset is kept, and how many units are saved.

    python scripts/simulate_races.py [--quick] [--races N] [--only TEXT] [--run RUN --ledger LEDGER]

Draws datasets from known worlds, races 64 arms on each in many random orders of its units, and prints a Markdown table.
Exits with 1 if the best arm was eliminated more often than alpha allows. With --run, it races the 0/1 scores of that
run instead: rows are drawn from its rows, and each of the 64 arms has the scores of one of the run's arms on most rows
and those of another on the rest.

Arrays carry their axes in their names: R rows, A arms, U units.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from assay.cluster.commit.ledger_samples import columns_of, samples_of
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.storage import open_store
from assay.stats.sequential import racing

ALPHA = 0.05
NUM_ARMS = 64
FIRST_UNITS, GROWTH = 8, 1.5
UNIT_ROWS = 128
RACES_PER_DATASET = 20
CORRELATION = 0.7
RARE_SHARE = 0.06


@dataclass(frozen=True)
class World:
    """A distribution of scores.

    Attributes:
        title: A description, for the table.
        num_units: Number of units; the last has half as many rows as the others.
        kind: `binary`: 0/1 scores, higher is better; `losses`: skewed scores, lower is better; `rare`: 0/1 scores,
            where one arm is best only because of a few units in which all others fail, and is worse in the rest;
            `heavy`: sums over units with the tails of Student's t with 3 degrees of freedom.
        gains: `equal`: arms are equal; `little`: one arm is slightly better; `rest`: four arms are good, and the rest
            are clearly worse.
        unit_sd: Standard deviation of the units' effects, independent for each arm, as in sorted data.
        has_bounds: Whether the race knows that scores lie between 0 and 1.
        is_guaranteed: Whether the race guarantees, exactly or approximately, that the best arm is kept.
        recorded_RA: Scores of a run, rows x its arms, to draw rows from instead of all of the above.
    """

    title: str
    num_units: int
    kind: str = "binary"
    gains: str = "equal"
    unit_sd: float = 0.0
    has_bounds: bool = True
    is_guaranteed: bool = True
    recorded_RA: np.ndarray | None = field(default=None, repr=False)


def recorded_worlds(ledger: str, run_id: str) -> Iterator[World]:
    """Worlds whose rows are drawn from those of a run."""
    run = CommittedRun(open_store(ledger), run_id)
    experiment = run.record.experiment
    suite, columns = experiment.suite, experiment.suite.plan.columns
    scores = run.scores([arm.name for arm in experiment.arms], columns_of(suite.primary, columns=columns))
    samples = samples_of(scores, suite.primary, columns=columns)
    if not np.isin(samples.scores_RA, (0, 1)).all():
        sys.exit(
            f"error: the scores of '{suite.primary.name}' in run '{run_id}' must all be 0 or 1; choose a run whose are"
        )
    for num_units in (16, 60, 200):
        yield World(f"64 arms from the scores of {experiment.name}", num_units, recorded_RA=samples.scores_RA)


def worlds() -> Iterator[World]:
    """All worlds of the table."""
    for num_units in (16, 60, 200):
        yield World("all equal", num_units)
        yield World("one better by 0.02", num_units, gains="little")
        yield World("60 clearly worse", num_units, gains="rest")
        yield World("sorted, all equal", num_units, unit_sd=0.15)
        yield World("sorted, 60 clearly worse", num_units, gains="rest", unit_sd=0.15)
        yield World("best by a rare group", num_units, kind="rare")
    for num_units in (16, 60, 200):
        yield World("all equal, bounds unknown", num_units, has_bounds=False)
        yield World("60 clearly worse, bounds unknown", num_units, gains="rest", has_bounds=False)
        yield World("sorted, 60 clearly worse, bounds unknown", num_units, gains="rest", unit_sd=0.15, has_bounds=False)
        yield World("losses, all equal", num_units, kind="losses", has_bounds=False)
        yield World("losses, 60 clearly worse", num_units, kind="losses", gains="rest", has_bounds=False)
        yield World("sorted losses, all equal", num_units, kind="losses", unit_sd=0.5, has_bounds=False)
        yield World("sorted losses, 60 clearly worse", num_units, "losses", "rest", unit_sd=0.5, has_bounds=False)
        yield World("heavy tails, all equal", num_units, kind="heavy", has_bounds=False)
        yield World(
            "best by a rare group, bounds unknown", num_units, kind="rare", has_bounds=False, is_guaranteed=False
        )


def draw(world: World, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws a dataset: sums of scores, units x arms, and the number of rows of each unit."""
    rows_U = np.full(world.num_units, UNIT_ROWS)
    rows_U[-1] //= 2
    if world.recorded_RA is not None:
        return _draw_recorded(world.recorded_RA, rows_U, rng), rows_U
    gains_A = _gains(world, rng)
    shape = world.num_units, NUM_ARMS
    shift_UA = gains_A + world.unit_sd * rng.normal(size=shape)
    if world.kind == "heavy":
        return rows_U[:, None] * shift_UA + rng.standard_t(3, size=shape), rows_U
    if world.kind == "rare":
        num_rare = max(1, round(RARE_SHARE * world.num_units))
        shift_UA[:, 0] -= 0.7 * num_rare / world.num_units
        shift_UA[:num_rare], shift_UA[:num_rare, 0] = -0.8, 0.2
    sums_UA = np.empty(shape)
    chances_UA = np.clip(0.8 + shift_UA, 0, 1)
    for unit, num_rows in enumerate(rows_U):
        shared_RA, own_RA = rng.normal(size=(num_rows, 1)), rng.normal(size=(num_rows, NUM_ARMS))
        latent_RA = CORRELATION**0.5 * shared_RA + (1 - CORRELATION) ** 0.5 * own_RA
        if world.kind == "losses":
            sums_UA[unit] = np.exp(latent_RA - 2 * shift_UA[unit]).sum(axis=0)
        else:
            sums_UA[unit] = (latent_RA < special.ndtri(chances_UA[unit])).sum(axis=0)
    return sums_UA, rows_U


def _draw_recorded(scores_RA: np.ndarray, rows_U: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sums of scores, units x 64 arms: each arm has the scores of one recorded arm, and of another on some rows."""
    num_recorded = scores_RA.shape[1]
    most_A, rest_A = rng.integers(num_recorded, size=(2, NUM_ARMS))
    share_A = rng.uniform(0, 0.5, size=NUM_ARMS)
    sums_UA = np.empty((len(rows_U), NUM_ARMS))
    for unit, num_rows in enumerate(rows_U):
        rows_RA = scores_RA[rng.integers(len(scores_RA), size=num_rows)]
        is_rest_RA = rng.random((num_rows, NUM_ARMS)) < share_A
        sums_UA[unit] = np.where(is_rest_RA, rows_RA[:, rest_A], rows_RA[:, most_A]).sum(axis=0)
    return sums_UA


def _gains(world: World, rng: np.random.Generator) -> np.ndarray:
    gains_A = np.zeros(NUM_ARMS)
    if world.gains == "little":
        gains_A[0] = 0.02
    if world.gains == "rest":
        gains_A[:4] = rng.uniform(0.02, 0.05, size=4)
        gains_A[4:] = rng.uniform(-0.3, -0.05, size=60)
    return gains_A


def race(world: World, sums_UA: np.ndarray, rows_U: np.ndarray) -> tuple[np.ndarray, float]:
    """Which arms were kept to the end, and the share of units that were not evaluated."""
    sums_UA = sums_UA.copy()
    is_kept_A = np.ones(NUM_ARMS, dtype=bool)
    num_done, num_evaluated = 0, 0
    for num_units in racing.waves(world.num_units, first=FIRST_UNITS, growth=GROWTH):
        num_evaluated += is_kept_A.sum() * (num_units - num_done)
        num_done = num_units
        if num_units == world.num_units:
            break
        look = racing.race(
            sums_UA[:num_units],
            rows_U=rows_U[:num_units],
            arms=[f"{arm:02}" for arm in range(NUM_ARMS)],
            dataset=racing.RacedDataset(world.num_units, num_rows=rows_U.sum(), unit_rows=UNIT_ROWS),
            rules=racing.RaceRules(_direction(world), 0.0, ALPHA, bounds=(0.0, 1.0) if world.has_bounds else None),
        )
        is_kept_A[[int(each.arm) for each in look.arms if each.eliminated]] = False
        sums_UA[num_units:, ~is_kept_A] = np.nan
    return is_kept_A, 1 - num_evaluated / sums_UA.size


def _direction(world: World) -> str:
    return "lower" if world.kind == "losses" else "higher"


def race_dataset(block: tuple[World, int, int]) -> np.ndarray:
    """Sums over races on one dataset: whether the best arm was kept, number of kept arms, share of units saved."""
    world, dataset, num_races = block
    rng = np.random.default_rng([20_260_103, dataset])
    sums_UA, rows_U = draw(world, rng)
    total_A = sums_UA.sum(axis=0)
    best = total_A.min() if _direction(world) == "lower" else total_A.max()
    counts = np.zeros(3)
    for _ in range(num_races):
        order_U = rng.permutation(world.num_units)
        is_kept_A, saved = race(world, sums_UA[order_U], rows_U[order_U])
        counts += is_kept_A[total_A == best].any(), is_kept_A.sum(), saved
    return counts


def simulate(num_races: int, *, chosen: list[World]) -> int:
    """Prints the table; returns 1 if the best arm was eliminated more often than alpha and chance allow."""
    blocks = [(first, min(RACES_PER_DATASET, num_races - first)) for first in range(0, num_races, RACES_PER_DATASET)]
    chance = 2 * (ALPHA * (1 - ALPHA) / num_races) ** 0.5
    print(
        f"{num_races} races of {NUM_ARMS} arms per world, alpha {ALPHA}; two standard errors of 0.95 are {chance:.3f}\n"
    )
    print("| world | units | guarantee | best arm kept | arms at the end | units saved |")
    print("|---|---|---|---|---|---|")
    num_violations = 0
    with ProcessPoolExecutor() as pool:
        for world in chosen:
            counts = sum(pool.map(race_dataset, [(world, *block) for block in blocks]), start=np.zeros(3))
            kept, num_left, saved = counts / num_races
            num_violations += world.is_guaranteed and kept < 1 - ALPHA - chance
            guarantee = "exact" if world.has_bounds else "approximate" if world.is_guaranteed else "none"
            print(
                f"| {world.title} | {world.num_units} | {guarantee} | {kept:.3f} | {num_left:.1f} | {saved:.0%} |",
                flush=True,
            )
    return int(num_violations > 0)


def main() -> None:
    """Runs the simulation with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, help="number of races per world; default: 1000, with --quick 60")
    parser.add_argument("--only", default="", metavar="TEXT", help="only worlds whose title contains this text")
    parser.add_argument("--quick", action="store_true", help="every fourth world, 60 races each")
    parser.add_argument("--run", help="race the recorded 0/1 scores of this run")
    parser.add_argument("--ledger", default="ledger", help="the ledger that holds the run of --run; default: ledger")
    options = parser.parse_args()
    started = time.monotonic()
    candidates = recorded_worlds(options.ledger, options.run) if options.run else worlds()
    chosen = [world for world in candidates if options.only in world.title][:: 4 if options.quick else 1]
    code = simulate(options.races or (60 if options.quick else 1000), chosen=chosen)
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
