"""A slot's work can be pickled to the process of the slot."""

import pickle

import pytest

from assay.cluster.drive.unit_work import PublishUnit
from assay.cluster.verify.rescore_unit import RescoreUnit


@pytest.mark.parametrize(
    ("work", "is_as_a_run"), [(PublishUnit(), True), (RescoreUnit("ledger"), False), (RescoreUnit("itself"), False)]
)
def test_work_crosses_processes_and_says_what_its_units_need(work, is_as_a_run):
    again = pickle.loads(pickle.dumps(work))
    assert vars(again) == vars(work)
    assert (again.checks_weights, again.times_control) == (is_as_a_run, is_as_a_run)
