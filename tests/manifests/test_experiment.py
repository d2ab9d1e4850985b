"""Checks across the parts of an experiment."""

import pytest

from assay.cluster.prepare.resolve import read_experiment
from assay.manifests import ManifestError
from tests import builders


@pytest.mark.parametrize(
    ("fields", "resources", "words"),
    [
        ({"budget": {}}, {}, "a budget needs slot_hours, gpu_hours or price"),
        ({"budget": {"price": 5.0}}, {}, "budget.price limits cost, but the resources of a slot have no price"),
        (
            {"budget": {"price": 5.0}, "prices": {"gpu_hour": 2.0}},
            {},
            "budget.price limits cost, but the resources of a slot have no price",
        ),
        ({"budget": {"gpu_hours": 5.0}}, {}, "resources.num_gpus is 0"),
        ({"project_budget": {"slot_hours": 5.0}}, {}, "needs the name of the project; add 'project: NAME'"),
        ({"project": "p", "project_budget": {"price": 5.0}}, {}, "project_budget.price limits cost"),
        ({"project": "p", "project_budget": {"gpu_hours": 5.0}}, {}, ""),  # its other runs may use GPUs
        ({"budget": {"gpu_hours": 5.0}}, {"num_gpus": 0.5}, ""),
        ({"budget": {"price": 5.0}, "prices": {"gpu_hour_by_type": {"H100": 2.0}}}, {"num_gpus": 1.0}, ""),
        ({"budget": {"slot_hours": 5.0}}, {}, ""),
        ({"name": "n" * 81}, {}, "80"),  # the run's id and those of runs that supersede it need room
    ],
)
def test_a_bound_that_could_never_stop_anything_is_refused(tmp_path, fields, resources, words):
    experiment = builders.write_experiment(tmp_path, resources=resources, **fields)
    if not words:
        assert read_experiment(str(experiment)).name == "small"
        return
    with pytest.raises(ManifestError, match=words):
        read_experiment(str(experiment))
