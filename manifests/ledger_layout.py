"""The ledger's layout: which tables there are, and under which keys its files lie."""

from typing import Literal

LAYOUT = "v1"
"""The folder of this layout inside a ledger."""

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
"""scores: a row per arm and dataset row. units: per unit evaluated: where, how long it took, and what its process read
from the dataset's store since the unit before (`shards_fetched`, `bytes_fetched`, `fetch_s`). arms, metrics,
comparisons, decisions: what their names say. confusions: per arm, how many rows of each label have each prediction.
histograms: per arm, how many rows have a probability of the predicted class, or a value, in each bin. latency: a row
per batch that an arm and the control were timed on in turn, or one that says why they were not. analyses: the planned
analysis as one JSON document. events: what happened on the way. spending: one row, what the run's slots had cost until
the commit, work or not."""

FORMAT = f'{{"format": "assay-ledger", "layout": "{LAYOUT}"}}'
"""What the object that makes a store a ledger says."""

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
"""The first columns of the scores table: where a row came from. The scores digest is of the columns after them."""
SCORE_COLUMN_PREFIX = "score_"
SEGMENT_COLUMN_PREFIX = "segment_"


def run_key(run_id: str) -> str:
    """The key of the opened run's record."""
    return f"{LAYOUT}/runs/{run_id}.json"


def commit_key(run_id: str) -> str:
    """The key of the commit record, whose existence makes the run visible."""
    return f"{LAYOUT}/commits/{run_id}.parquet"


def table_prefix(table: Table, run_id: str) -> str:
    """What the keys of a run's files of one table start with."""
    return f"{LAYOUT}/data/{table}/run_id={run_id}/"


def progress_key(run_id: str) -> str:
    """The key of the run's progress, which its driver replaces: it informs, and is no evidence."""
    return f"{LAYOUT}/progress/{run_id}.json"


def submission_key(submission_id: str) -> str:
    """The key of the note that says which run a submitted job carries out."""
    return f"{LAYOUT}/submissions/{submission_id}/run.json"


def cancel_key(submission_id: str) -> str:
    """The key of the marker that cancels a submitted job: of this one only, so that the next one may go on."""
    return f"{LAYOUT}/submissions/{submission_id}/cancel.json"


CALIBRATIONS_PREFIX = f"{LAYOUT}/calibrations/"
"""Where calibrations of the gate lie."""


def calibration_key(run_id: str, seed: int, num_permutations: int) -> str:
    """The key of one calibration of the gate on a run's scores."""
    return f"{CALIBRATIONS_PREFIX}{run_id}/seed{seed}-n{num_permutations}.json"


def unit_key(run_id: str, arm: str, unit: int) -> str:
    """The key of one unit's scores: a pure function of the unit, so that nobody can publish it twice."""
    return f"{table_prefix('scores', run_id)}{arm}/u{unit:06d}.parquet"


PATCH_PREFIX = f"{LAYOUT}/patches/"
"""Where uncommitted changes lie that runs were made with, if their experiments asked for it."""


def patch_key(digest: str) -> str:
    """The key of a patch, by its digest."""
    return f"{PATCH_PREFIX}{digest.removeprefix('sha256:')}.patch"


LOG_PREFIX = f"{LAYOUT}/log/"
"""Where the version log lies: decisions that somebody acted on, in order."""


def log_key(number: int) -> str:
    """The key of one entry of the version log."""
    return f"{LOG_PREFIX}{number:06d}.json"
