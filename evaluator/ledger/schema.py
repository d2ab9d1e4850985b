"""The schema of every table of the ledger: the same in every run, so that any reader reads any mixture of runs."""

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

from assay.manifests.ledger_layout import LINEAGE_COLUMNS, Table

SLOT_SECONDS = ("load_s", "timing_s", "probe_s", "read_s", "predict_s", "score_s")
"""The columns of `units` and `arms` with the parts of a unit's time in its slot, in order. Loading, timing and probing
are charged to the first unit after them. The slot publishes a unit while it scores the next one, so `write_s` is not
among them."""

_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()


def _schema(*fields: tuple[str, pa.DataType], nullable: Mapping[str, pa.DataType] | None = None) -> pa.Schema:
    """A schema of fields that are never null, followed by fields that may be."""
    required = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema([*required, *(pa.field(name, kind) for name, kind in (nullable or {}).items())])


_SCORES = _schema(
    *((name, _TEXT) for name in LINEAGE_COLUMNS),
    ("row_index", _INT),
    ("status", _TEXT),
    ("scores", pa.map_(_TEXT, pa.field("value", _FLOAT, nullable=False))),  # pyright: ignore[reportArgumentType]
    nullable={
        "segments": pa.map_(_TEXT, _TEXT),
        "row_id": _TEXT,
        "cluster": _TEXT,
        "label_class": _TEXT,
        "label_value": _FLOAT,
        "prediction_class": _TEXT,
        "prediction_value": _FLOAT,
        "prediction_text": _TEXT,
        "probabilities": pa.list_(pa.field("element", _FLOAT, nullable=False)),
        "reason": _TEXT,
    },
)
"""`status` is `ok` if the arm has answered, otherwise `reason` says why there is no answer. `label_class` is the label
as text unless it is a fraction, `label_value` the label as a number if it is one. A predicted class, number or text has
a column of its own, and the others are null. `scores` maps the name of each metric that scores rows to the row's score;
it is empty for a row without an answer. `segments` maps the name of each segment column to its value; it is null
if the dataset has none."""

_UNITS = _schema(
    ("run_id", _TEXT),
    ("arm", _TEXT),
    ("unit", _INT),
    ("first_row", _INT),
    ("num_rows", _INT),
    ("num_unanswered", _INT),
    ("size_bytes", _INT),
    ("scores_digest", _TEXT),
    ("batch_size", _INT),
    ("host", _TEXT),
    ("cpu", _TEXT),
    ("device", _TEXT),
    ("device_class", _TEXT),
    ("num_cpus", _FLOAT),
    ("num_gpus", _FLOAT),
    ("accelerator_type", _TEXT),
    ("environment_digest", _TEXT),
    nullable={
        "weights_bytes": _INT,
        "num_parameters": _INT,
        "peak_memory_bytes": _INT,
        "reused_from": _TEXT,
        "reused_slot_s": _FLOAT,
        "slot": _TEXT,
        "attempt": _INT,
        "started_at": _TEXT,
        "shard_cache": _TEXT,
        "load_s": _FLOAT,
        "timing_s": _FLOAT,
        "probe_s": _FLOAT,
        "load_cpu_s": _FLOAT,
        "read_s": _FLOAT,
        "decode_s": _FLOAT,
        "fetch_s": _FLOAT,
        "shards_fetched": _INT,
        "bytes_fetched": _INT,
        "predict_s": _FLOAT,
        "copy_s": _FLOAT,
        "forward_s": _FLOAT,
        "score_s": _FLOAT,
        "cpu_s": _FLOAT,
        "batch_p50_s": _FLOAT,
        "batch_max_s": _FLOAT,
        "write_s": _FLOAT,
        "write_cpu_s": _FLOAT,
    },
)
"""A reused unit has `reused_from` and none of the columns after `reused_slot_s`. `write_s` and `write_cpu_s` are null
also for a unit that an earlier driver has published, because a file cannot contain the time of its own writing."""

_COST = ("slot_s", "cpu_s", "gpu_s", "price")
_ARMS = _schema(
    ("run_id", _TEXT),
    ("arm", _TEXT),
    ("variant_digest", _TEXT),
    ("status", _TEXT),
    ("reason", _TEXT),
    ("num_units", _INT),
    ("num_units_done", _INT),
    ("num_units_reused", _INT),
    ("reused_from", _TEXT),
    *((name, _FLOAT) for name in _COST),
    *((f"one_off_{name}", _FLOAT) for name in _COST),
    *((f"reused_{name}", _FLOAT) for name in _COST),
    ("cpu_used_s", _FLOAT),
    ("bytes_fetched", _INT),
    ("num_rows_evaluated", _INT),
    nullable={
        "num_rows": _INT,
        "num_unanswered": _INT,
        "scores_digest": _TEXT,
        **dict.fromkeys((*SLOT_SECONDS, "write_s"), _FLOAT),
        "batch_size": _INT,
        "batch_sensitivity_num_rows": _INT,
        "batch_sensitivity_num_flips": _INT,
        "batch_sensitivity_max_abs_difference": _FLOAT,
        "batch_sensitivity_noise_floor": _FLOAT,
        "batch_sensitivity_reason": _TEXT,
        "devices": _TEXT,
        "rows_per_s": _FLOAT,
        "batch_p50_s": _FLOAT,
        "weights_bytes": _INT,
        "num_parameters": _INT,
        "peak_memory_bytes": _INT,
    },
)
"""The columns that may be null are those of arms that were scored completely. `one_off_*` is the part of the cost that
does not grow with the number of rows: loading and probing."""

_METRICS = _schema(
    ("run_id", _TEXT),
    ("arm", _TEXT),
    ("metric", _TEXT),
    ("measure", _TEXT),
    ("direction", _TEXT),
    ("num_rows", _INT),
    ("num_unanswered", _INT),
    ("not_testable", _TEXT),
    nullable={
        "threshold": _FLOAT,
        "value": _FLOAT,
        "repeat_values": pa.list_(_FLOAT),
        "repeat_std": _FLOAT,
    },
)
"""`value` is over the rows that the arm has answered: `num_rows` less `num_unanswered`."""

_CONFUSIONS = _schema(
    ("run_id", _TEXT), ("arm", _TEXT), ("num_rows", _INT), nullable={"label": _TEXT, "prediction": _TEXT}
)
"""A label without a prediction: rows without an answer. Neither of them: all pairs that are not listed."""

_HISTOGRAMS = _schema(
    ("run_id", _TEXT),
    ("arm", _TEXT),
    ("of", _TEXT),
    ("num_rows", _INT),
    ("total", _FLOAT),
    nullable={"low": _FLOAT, "high": _FLOAT, "num_correct": _INT},
)
"""`total` is the sum of the probabilities or values in the bin. A bin without `low` or `high` is unbounded."""

_LATENCY = _schema(
    ("run_id", _TEXT),
    ("arm", _TEXT),
    ("unit", _INT),
    ("host", _TEXT),
    ("reason", _TEXT),
    nullable={"control_s": _FLOAT, "arm_s": _FLOAT},
)

_COMPARISONS = _schema(
    ("run_id", _TEXT),
    ("metric", _TEXT),
    ("arm", _TEXT),
    ("reference", _TEXT),
    ("method", _TEXT),
    nullable={
        "estimate": _FLOAT,
        "std_error": _FLOAT,
        "statistic": _FLOAT,
        "df": _FLOAT,
        "p_value": _FLOAT,
        "p_adjusted": _FLOAT,
        "ci_low": _FLOAT,
        "ci_high": _FLOAT,
        "degenerate": _TEXT,
        "not_testable": _TEXT,
    },
)

_QUESTION = pa.struct(
    [("question", _TEXT), ("answer", _TEXT), ("counts", _BOOL), ("evidence", _TEXT), ("next_step", _TEXT)]
)
_DECISIONS = _schema(
    ("run_id", _TEXT),
    ("arm", _TEXT),
    ("decision", _TEXT),
    ("reasons", pa.list_(_TEXT)),
    ("next_step", _TEXT),
    ("questions", pa.list_(_QUESTION)),
    ("won_by", _TEXT),
    ("is_control", _BOOL),
)

_ANALYSES = _schema(("run_id", _TEXT), ("plan_digest", _TEXT), ("exploratory", _BOOL), ("analysis", _TEXT))

_EVENTS = _schema(("run_id", _TEXT), ("at", _TEXT), ("kind", _TEXT), ("arm", _TEXT), ("unit", _INT), ("message", _TEXT))

_SPENDING = _schema(
    ("run_id", _TEXT),
    *((name, _FLOAT) for name in _COST),
    ("budget_summary", _TEXT),
    ("terms", _TEXT),
    nullable={"budget_kept": _BOOL},
)
"""`terms` are the prices and budgets in force at the commit, as JSON: they may have changed since the run was opened."""

SCHEMAS: Mapping[Table, pa.Schema] = MappingProxyType(
    {
        "scores": _SCORES,
        "units": _UNITS,
        "arms": _ARMS,
        "metrics": _METRICS,
        "confusions": _CONFUSIONS,
        "histograms": _HISTOGRAMS,
        "latency": _LATENCY,
        "comparisons": _COMPARISONS,
        "decisions": _DECISIONS,
        "analyses": _ANALYSES,
        "events": _EVENTS,
        "spending": _SPENDING,
    }
)
"""The schema of each table."""

COMMITS = _schema(
    ("run_id", _TEXT),
    ("table", _TEXT),
    ("path", _TEXT),
    ("num_rows", _INT),
    ("size_bytes", _INT),
    ("sha256", _TEXT),
    ("record_digest", _TEXT),
    ("committer", _TEXT),
    ("committed_at", _TEXT),
    ("log_number", _INT),
    nullable={"log_seal": _TEXT},
)
"""The columns of a commit record, which has one row per file. `path` is relative to the ledger's layout folder.
`record_digest` is the sha256 of the run's record, `runs/RUN.json`. The version log had the entry `log_number` with the
seal `log_seal` before the commit; 0 and null: none."""
