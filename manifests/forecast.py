"""Forecast: the time and cost of a run before it starts, as `assay run --dry-run --json` prints them."""

from assay.manifests.base import Computed


class ArmForecast(Computed):
    """Forecast of one arm."""

    arm: str
    """The arm's name."""
    num_units_done: int
    """Units that this run already has in the ledger."""
    num_units_reused: int
    """Units with the same keys that other runs have scored. Whether those were scored on the same class of device is
    checked only when the run reuses them."""
    num_units_left: int
    """Units that remain to be evaluated."""
    num_rows_left: int
    """Rows in those units."""
    reason: str
    """Why it has to be scored: `new`, or what has changed since the latest earlier run that has the arm. If nothing
    remains to be evaluated: which run has scored it."""
    seconds_per_row: float | None
    """Slot-seconds per row; None if unknown or nothing remains."""
    setup_s: float | None
    """Seconds to load and probe the variant, once per slot; None if unknown or nothing remains."""
    source: str
    """Where the two times come from: an earlier run, or a trial in this process."""
    slot_s: float
    """Forecast slot-seconds."""
    gpu_s: float
    """Forecast GPU-seconds."""
    price: float
    """Forecast price, by the experiment's prices."""
    problem: str = ""
    """Why the arm could not be forecast; empty if it could."""


class Forecast(Computed):
    """Forecast of a run."""

    run_id: str
    """ID of the run."""
    committed: bool
    """Whether the run is already committed in the ledger."""
    num_units: int
    """Units per arm."""
    num_rows: int
    """Rows per arm."""
    num_slots: int
    """Number of concurrent slots."""
    slots_known: bool
    """False if the cluster decides how many slots start; `num_slots` is then one for all pending work."""
    num_waves: int
    """Number of arms (with replicas: shares of arms) that each slot works through, rounded up."""
    slot_hours: float
    """Slot-hours."""
    gpu_hours: float
    """GPU-hours."""
    price: float
    """Price, by the experiment's prices."""
    wall_s: float
    """Seconds from the start of the first slot to the end of the last, with `num_slots` slots."""
    is_complete: bool
    """Whether every arm could be forecast. If not, the totals lack some arms."""
    in_a_race: bool
    """Whether a race may eliminate arms early, which makes all totals upper bounds."""
    exceeds: str
    """Message about the budget limit that the run would reach; empty if none."""
    warnings: tuple[str, ...]
    """Messages about the budget warnings that the run would trigger."""
    arms: tuple[ArmForecast, ...]
    """Forecasts of the arms, in the experiment's order."""
