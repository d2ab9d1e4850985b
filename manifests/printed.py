"""The documents that commands print with `--json`, by the name that `assay schema` knows them by."""

from assay.manifests.analysis import Analysis
from assay.manifests.base import Computed
from assay.manifests.decision import GateAnswer
from assay.manifests.forecast import Forecast
from assay.manifests.outcomes import RunOutcomes
from assay.manifests.power_answer import PowerAnswer
from assay.manifests.run_report import RunReport
from assay.manifests.timing import RunTiming

PRINTED: dict[str, type[Computed]] = {
    kind.__name__: kind for kind in (Analysis, Forecast, GateAnswer, PowerAnswer, RunOutcomes, RunReport, RunTiming)
}
"""`RunReport`: `assay run`, `report`, `result` and `demo`; with `--timing`, `RunTiming`; with `--confusion`, `RunOutcomes`.
`GateAnswer`: `assay gate`. `Forecast`: `assay run --dry-run`. `Analysis`: `assay analyze`. `PowerAnswer`: `assay power`."""
