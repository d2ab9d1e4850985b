"""What an experiment's parts must have in common."""

import pytest

from assay.cluster.prepare.resolve import read_experiment
from assay.manifests import ManifestError
from tests import builders


@pytest.mark.parametrize(
    ("fields", "resources", "words"),
    [
        ({"budget": {}}, {}, "a budget gives slot_hours, gpu_hours or price"),
        ({"budget": {"price": 5.0}}, {}, "prices gives none for what resources hold"),
        ({"budget": {"price": 5.0}, "prices": {"gpu_hour": 2.0}}, {}, "prices gives none for what resources hold"),
        ({"budget": {"gpu_hours": 5.0}}, {}, "resources.num_gpus is 0"),
        ({"project_budget": {"slot_hours": 5.0}}, {}, "say which with 'project: NAME'"),
        ({"project": "p", "project_budget": {"price": 5.0}}, {}, "project_budget.price bounds what slots cost"),
        ({"project": "p", "project_budget": {"gpu_hours": 5.0}}, {}, ""),  # other runs of it may hold GPUs
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
