"""Prometheus can read a run's metrics while it works, and the dashboard uses no other metrics."""

import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
import ray

from assay.cluster.on_ray import prometheus
from tests import builders

DASHBOARD = json.loads((Path(prometheus.__file__).parents[1] / "deploy" / "grafana.json").read_text())


def scraped(name: str, run_id: str, *, least: float) -> float:
    """Waits until a run's metric, which the node exports every few seconds, is large enough, and returns it."""
    port, value = ray.nodes()[0]["MetricsExportPort"], float("nan")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith(f"ray_{name}{{") and f'run_id="{run_id}"' in line]
        value = max((float(line.rpartition(" ")[2]) for line in found), default=value)
        if value >= least:
            return value
        time.sleep(0.2)
    raise AssertionError(f"{name} is {value}, not {least}")


@pytest.mark.ray
def test_a_run_on_ray_can_be_watched_with_prometheus(run_on_ray):
    num_units = run_on_ray.num_units * len(builders.ARMS)
    run_id = run_on_ray.run.run_id
    assert scraped("assay_units_done", run_id, least=num_units) == num_units
    assert scraped("assay_units", run_id, least=num_units) == num_units
    assert 0 < scraped("assay_price", run_id, least=1e-9) < 36_000


def test_the_dashboard_shows_every_metric_and_no_other():
    asked = {
        name
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        for name in re.findall(r"ray_(assay_\w+)", target["expr"])
    }
    assert asked == set(prometheus.NAMES)


def test_the_dashboards_panels_do_not_overlap():
    places = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in DASHBOARD["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
