"""A run's progress as Ray metrics, for Ray's dashboard and Prometheus."""

from ray.util.metrics import Gauge

from assay.manifests.progress import Progress
from assay.manifests.run import Run

NAMES = {
    "assay_units_done": "Units in the ledger, over all arms.",
    "assay_units": "Units of the run, over all arms.",
    "assay_units_retried": "Units that this driver has retried.",
    "assay_rows_per_second": "Rows per second that this driver publishes.",
    "assay_bytes_fetched": "Bytes of shards that this driver's slots have fetched.",
    "assay_slots": "Slots that are ready.",
    "assay_slots_busy": "Slots with a unit in flight.",
    "assay_slot_seconds": "Slot-seconds that the run has cost so far.",
    "assay_gpu_seconds": "GPU-seconds that the run has cost so far.",
    "assay_price": "What the run has cost so far, at the experiment's prices.",
    "assay_eta_seconds": "Estimated seconds until the last unit is done; 0 until it can be estimated.",
}


class PrometheusGauges:
    """One gauge per number, tagged with the experiment's name and the run. Needs a connected Ray."""

    def __init__(self, run: Run) -> None:
        """Registers the gauges."""
        tags = {"experiment": run.experiment.name, "run_id": run.run_id}
        self._gauges = {name: Gauge(name, description, tag_keys=tuple(tags)) for name, description in NAMES.items()}
        for gauge in self._gauges.values():
            gauge.set_default_tags(tags)

    def show(self, progress: Progress) -> None:
        """Sets every gauge."""
        values = {
            "assay_units_done": progress.num_units_done,
            "assay_units": progress.num_units * len(progress.arms),
            "assay_units_retried": progress.num_retries,
            "assay_rows_per_second": progress.rows_per_s or 0.0,
            "assay_bytes_fetched": progress.bytes_fetched,
            "assay_slots": progress.num_slots,
            "assay_slots_busy": progress.num_slots_busy,
            "assay_slot_seconds": progress.spent.slot_s,
            "assay_gpu_seconds": progress.spent.gpu_s,
            "assay_price": progress.spent.price,
            "assay_eta_seconds": progress.eta_s or 0.0,
        }
        for name, value in values.items():
            self._gauges[name].set(value)
