"""The ledger's layout: its tables, and the keys of its files."""

import re
from typing import Literal, NamedTuple

LAYOUT = "v2"
"""The folder of this layout inside a ledger."""

EARLIER_LAYOUTS = ("v1",)
"""The layouts of earlier releases, which this release does not read."""

Table = Literal[
    "scores",
    "units",
    "arms",
    "metrics",
    "confusions",
    "histograms",
    "latency",
    "comparisons",
    "decisions",
    "analyses",
    "events",
    "spending",
]
"""scores: one row per arm and dataset row. units: one row per evaluated unit: where it ran, how long it took, and what
its process read from the dataset's store since the previous unit (`shards_fetched`, `bytes_fetched`, `fetch_s`). arms,
metrics, comparisons, decisions: one row for each. confusions: per arm, the number of rows for each label and
prediction. histograms: per arm, the number of rows whose probability of the predicted class, or value, is in each bin.
latency: one row per batch on which an arm and the control were timed in turn, or one with the reason why they were not.
analyses: the planned analysis as one JSON document. events: what happened during the run. spending: one row with the
cost of all slots of the run until the commit, idle time included."""

FORMAT = f'{{"format": "assay-ledger", "layout": "{LAYOUT}"}}'
"""Content of the object that marks a store as a ledger."""

FORMAT_KEY = f"{LAYOUT}/FORMAT.json"

LINEAGE_COLUMNS = (
    "run_id",
    "arm",
    "dataset_digest",
    "variant_digest",
    "suite_digest",
    "plan_digest",
    "environment_digest",
)
"""The first columns of the scores table: the origin of a row. The scores digest covers the columns after them."""
SCORE_COLUMN_PREFIX = "score_"
SEGMENT_COLUMN_PREFIX = "segment_"


def run_key(run_id: str) -> str:
    """The key of the opened run's record."""
    return f"{LAYOUT}/runs/{run_id}.json"


def commit_key(run_id: str) -> str:
    """The key of the commit record, whose existence makes the run visible."""
    return f"{LAYOUT}/commits/{run_id}.parquet"


RUN_ID = "[A-Za-z0-9][A-Za-z0-9_.-]{0,200}"
"""The pattern of run ids, which are parts of keys."""
RECORD_KEY = re.compile(rf"{LAYOUT}/(runs/(?P<opened>{RUN_ID})\.json|commits/(?P<committed>{RUN_ID})\.parquet)")
"""The keys that `run_key` and `commit_key` return, with the run's id."""


def table_prefix(table: Table, run_id: str) -> str:
    """The prefix of the keys of a run's files of one table."""
    return f"{LAYOUT}/data/{table}/{run_id}/"


def table_key(table: Table, run_id: str, sha256: str) -> str:
    """The key of a run's file of one table other than `scores`: named by the digest of its bytes."""
    return f"{table_prefix(table, run_id)}{sha256.removeprefix('sha256:')[:16]}.parquet"


def progress_key(run_id: str) -> str:
    """The key of the run's progress, which its driver overwrites: information only, not evidence."""
    return f"{LAYOUT}/progress/{run_id}.json"


def submission_key(submission_id: str) -> str:
    """The key of the record of the run that a submitted job executes."""
    return f"{LAYOUT}/submissions/{submission_id}/run.json"


def cancel_key(submission_id: str) -> str:
    """The key of the marker that cancels this submitted job; a later submission of the experiment can resume."""
    return f"{LAYOUT}/submissions/{submission_id}/cancel.json"


INDEX_KEY = f"{LAYOUT}/index/runs.json.gz"
"""The key of the index of runs, which later runs replace: derived from the other files, not evidence."""

CALIBRATIONS_PREFIX = f"{LAYOUT}/calibrations/"
"""The prefix of the keys of gate calibrations."""
CALIBRATION_KEY = re.compile(rf"{CALIBRATIONS_PREFIX}(?P<calibrated>[^/]+)/seed[0-9]+-n[0-9]+\.json")
"""The keys that `calibration_key` returns, with the run's id."""


def calibration_key(run_id: str, seed: int, num_permutations: int) -> str:
    """The key of one calibration of the gate on a run's scores."""
    return f"{CALIBRATIONS_PREFIX}{run_id}/seed{seed}-n{num_permutations}.json"


def unit_key(run_id: str, arm: str, unit: int) -> str:
    """The key of one unit's scores: determined by the unit alone, so that it cannot be published twice."""
    return f"{table_prefix('scores', run_id)}{arm}/u{unit:06d}.parquet"


class UnitPlace(NamedTuple):
    """Whose unit is stored under a key.

    Attributes:
        run_id: The run's id.
        arm: The arm's name.
        unit: The unit's index.
    """

    run_id: str
    arm: str
    unit: int


def unit_place(key: str) -> UnitPlace | None:
    """The inverse of `unit_key`; None if the key is not one of a unit."""
    match = _UNIT_KEY.fullmatch(key)
    if match is None:
        return None
    place = UnitPlace(match[1], match[2], int(match[3]))
    return place if unit_key(*place) == key else None


_UNIT_KEY = re.compile(rf"{LAYOUT}/data/scores/([^/]+)/([^/]+)/u([0-9]{{6,15}})\.parquet")

SET_ASIDE_PREFIX = f"{LAYOUT}/set-aside/"
"""The prefix of the keys of damaged files that runs have moved out of the way: kept for people, never read again."""


def set_aside_key(key: str, digest: str) -> str:
    """The key to which a damaged file with this digest is moved.

    It is outside `data/` and does not end in `.parquet`, so that nobody who reads all files of a table reads it.
    """
    return f"{SET_ASIDE_PREFIX}{key.removeprefix(f'{LAYOUT}/')}.{digest.removeprefix('sha256:')[:16]}"


TABLES_PREFIX = f"{LAYOUT}/tables/"
"""The prefix of the keys of tables that belong to no run."""
PART_KEY = re.compile(rf"{TABLES_PREFIX}[^/]+/[A-Za-z0-9][A-Za-z0-9_.-]*\.parquet")
"""The keys that `part_key` returns."""


def part_key(table: str, part: str) -> str:
    """The key of one part of a table that belongs to no run."""
    return f"{TABLES_PREFIX}{table}/{part}.parquet"


PATCH_PREFIX = f"{LAYOUT}/patches/"
"""The prefix of the keys of uncommitted changes, stored for experiments with `store_patch`."""


def patch_key(digest: str) -> str:
    """The key of a patch with this digest."""
    return f"{PATCH_PREFIX}{digest.removeprefix('sha256:')}.patch"


LOG_PREFIX = f"{LAYOUT}/log/"
"""The prefix of the keys of the version log: commits, decisions, overrides and verifications, in order."""

LOG_KEY = re.compile(rf"{LOG_PREFIX}(?P<number>(?!000000)[0-9]{{6}}|[1-9][0-9]{{6,}})\.json")
"""The keys that `log_key` returns."""

LOG_HINT_KEY = f"{LAYOUT}/index/log.json"
"""The key of a hint at the newest entry of the version log, replaced after each: derived, not evidence."""


def log_key(number: int) -> str:
    """The key of one entry of the version log."""
    return f"{LOG_PREFIX}{number:06d}.json"
