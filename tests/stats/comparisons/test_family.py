import pytest

from assay.manifests.errors import InvalidInput
from assay.stats.comparisons.family import pairs_named, pairs_of


def test_pairs_start_with_the_control():
    assert pairs_of(3, control=1, family="dunnett") == ((0, 1), (2, 1))
    assert pairs_of(3, control=1, family="tukey") == ((0, 1), (2, 1), (2, 0))
    assert pairs_of(1, control=0, family="tukey") == ()


def test_a_control_that_is_no_arm_is_refused_with_a_guess():
    with pytest.raises(InvalidInput, match="did you mean 'base'"):
        pairs_named(("base", "b"), control="bse", family="dunnett")
    with pytest.raises(InvalidInput, match="needs at least two arms"):
        pairs_named(("base",), control="base", family="dunnett")
