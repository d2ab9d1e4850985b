import math

import pytest

from assay.manifests.errors import InvalidInput
from assay.stats.distributions import multiplicity
from tests.stats.golden import golden

CASES = golden("p_adjust")["cases"]


@pytest.mark.parametrize("method", ["holm", "bh", "by", "bonferroni", "hommel", "hochberg"])
@pytest.mark.parametrize("name", CASES)
def test_adjusted_p_values_agree_with_r(name, method):
    given = CASES[name]["p"] if isinstance(CASES[name]["p"], list) else [CASES[name]["p"]]
    expected = CASES[name][method] if isinstance(CASES[name][method], list) else [CASES[name][method]]
    found = multiplicity.adjust(given, method=method)
    assert [p is None for p in found] == [p is None for p in expected]
    assert [p for p in found if p is not None] == pytest.approx([p for p in expected if p is not None], rel=1e-12)


def test_nan_is_no_test():
    # statsmodels' multipletests returns [0.03, nan, 0.06]
    assert multiplicity.adjust([0.01, math.nan, 0.03], method="holm") == pytest.approx((0.02, None, 0.03))


def test_nothing_to_adjust_is_nothing():
    assert multiplicity.adjust([], method="holm") == ()
    assert multiplicity.adjust([None, None], method="bh") == (None, None)


def test_what_is_no_p_value_or_no_method_is_refused():
    with pytest.raises(InvalidInput, match=r"1\.2.*0 to 1"):
        multiplicity.adjust([0.1, 1.2], method="holm")
    with pytest.raises(InvalidInput, match="did you mean 'holm'"):
        multiplicity.adjust([0.1], method="holms")
