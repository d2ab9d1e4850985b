import numpy as np
import pytest
from scipy import stats

from assay.manifests.errors import InvalidInput
from assay.stats.distributions import proportions

# Discordant counts and results of R's contingencytables 3.x (Fagerland, Lydersen & Laake 2017, chapter 8):
# airway hyper-responsiveness (Bentur 2009), complete response (Cavo 2012). The first also in Fagerland, Lydersen &
# Laake 2013, BMC Med. Res. Methodol. 13:91, table 3 (0.039).
AIRWAY = {"b": 1, "c": 7, "num_rows": 21}
RESPONSE = {"b": 6, "c": 16, "num_rows": 161}


def test_mcnemar_agrees_with_published_values():
    assert proportions.mcnemar_midp(1, 7) == pytest.approx(0.0390625, abs=1e-12)
    assert proportions.mcnemar_midp(6, 16) == pytest.approx(0.034690, abs=5e-7)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 5), (10**6, 10**6)])
def test_mcnemar_without_a_difference_is_one(b, c):
    # statsmodels returns 0 without discordant rows, and less than 1 with a continuity correction
    assert proportions.mcnemar_midp(b, c) == 1


def test_mcnemar_midp_halves_the_probability_of_what_was_observed():
    for b, c in [(3, 9), (0, 6), (40, 61)]:
        observed = stats.binom.pmf(min(b, c), b + c, 0.5)
        assert proportions.mcnemar_midp(b, c) == pytest.approx(stats.binomtest(b, b + c).pvalue - observed)
        assert proportions.mcnemar_midp(b, c) == proportions.mcnemar_midp(c, b)


def test_tango_interval_agrees_with_published_values():
    # Fagerland, Lydersen & Laake 2014, Stat. Med. 33:2850: -0.517 to -0.026
    assert proportions.tango_interval(1, 7, num_rows=21, alpha=0.05) == pytest.approx((-0.517, -0.026), abs=5e-4)
    # R contingencytables: Tango_asymptotic_score_CI_paired_2x2(cavo_2012)
    assert proportions.tango_interval(6, 16, num_rows=161, alpha=0.05) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    # R PropCIs: scoreci.mp(25, 28, 618, conf.level = 0.9), whose difference has the opposite sign
    assert proportions.tango_interval(28, 25, num_rows=618, alpha=0.1) == pytest.approx((-0.0148, 0.0247), abs=5e-5)
    # Tango 1998, section 5: contact lenses, no row only in the first cell
    assert proportions.tango_interval(0, 1, num_rows=44, alpha=0.1) == pytest.approx((-0.096, 0.037), abs=5e-4)


def test_tango_non_inferiority_agrees_with_tango():
    found = proportions.tango_noninferiority(0, 1, num_rows=44, margin=0.1)
    assert found.statistic == pytest.approx(1.709, abs=5e-4)
    assert found.p_value == pytest.approx(0.044, abs=5e-4)


def test_tango_at_no_difference_is_mcnemar():
    assert proportions.tango_z(9, 4, num_rows=50, difference=0.0) == pytest.approx((9 - 4) / np.sqrt(13))


@pytest.mark.parametrize("num_rows", [1, 5, 30, 10**6])
@pytest.mark.parametrize("share", [(0, 0), (1, 0), (0, 1), (0.4, 0.6), (0.2, 0)])
def test_tango_interval_solves_its_equation_at_all_corners(num_rows, share):
    b, c = (int(part * num_rows) for part in share)
    low, high = proportions.tango_interval(b, c, num_rows=num_rows, alpha=0.05)
    assert -1 <= low <= (b - c) / num_rows <= high <= 1
    z = 1.959963984540054
    if low > -1:
        assert proportions.tango_z(b, c, num_rows=num_rows, difference=low) == pytest.approx(z, abs=1e-6)
    if high < 1:
        assert proportions.tango_z(b, c, num_rows=num_rows, difference=high) == pytest.approx(-z, abs=1e-6)
    mirrored = proportions.tango_interval(c, b, num_rows=num_rows, alpha=0.05)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


def test_tango_without_discordant_rows_is_as_wide_as_the_rows_allow():
    z2 = stats.norm.isf(0.025) ** 2
    assert proportions.tango_interval(0, 0, num_rows=30, alpha=0.05) == pytest.approx((-z2 / (30 + z2), z2 / (30 + z2)))


# Newcombe 1998, Statistics in Medicine 17:873, table II, method 10, contrasts (a) to (h)
NEWCOMBE = {
    (56, 70, 48, 80): (0.0524, 0.3339),
    (9, 10, 3, 10): (0.1705, 0.8090),
    (6, 7, 2, 7): (0.0582, 0.8062),
    (5, 56, 0, 29): (-0.0381, 0.1926),
    (0, 10, 0, 20): (-0.1611, 0.2775),
    (0, 10, 0, 10): (-0.2775, 0.2775),
    (10, 10, 0, 20): (0.6791, 1.0),
    (10, 10, 0, 10): (0.6075, 1.0),
}


@pytest.mark.parametrize(("counts", "expected"), NEWCOMBE.items())
def test_newcombe_interval_agrees_with_newcombe(counts, expected):
    found = proportions.newcombe_interval(
        *counts[:2], successes_reference=counts[2], num_rows_reference=counts[3], alpha=0.05
    )
    assert found == pytest.approx(expected, abs=5.1e-5)


def test_intervals_cover_and_the_midp_holds_its_level_by_full_enumeration():
    """Every table of 40 rows, weighted by its probability: nothing is sampled."""
    num_rows, p_b, p_c = 40, 0.15, 0.05
    covered = weight = 0.0
    rejected = 0.0
    for b in range(22):
        for c in range(18):
            chance = stats.multinomial.pmf([b, c, num_rows - b - c], num_rows, [p_b, p_c, 1 - p_b - p_c])
            low, high = proportions.tango_interval(b, c, num_rows=num_rows, alpha=0.05)
            weight += chance
            covered += chance * (low <= p_b - p_c <= high)
            null = stats.multinomial.pmf([b, c, num_rows - b - c], num_rows, [0.1, 0.1, 0.8])
            rejected += null * (proportions.mcnemar_midp(b, c) < 0.05)
    assert weight > 0.9999
    assert 0.94 < covered < 0.97
    assert 0.03 < rejected < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportions.mcnemar_midp(-1, 3), "negative"),
        (lambda: proportions.tango_interval(3, 3, num_rows=5, alpha=0.05), "at least 6"),
        (lambda: proportions.tango_interval(3, 3, num_rows=9, alpha=0), "alpha must be a probability"),
        (lambda: proportions.tango_noninferiority(3, 3, num_rows=9, margin=1), "margin"),
        (
            lambda: proportions.newcombe_interval(4, 3, successes_reference=1, num_rows_reference=3, alpha=0.05),
            "0 to num_rows",
        ),
    ],
)
def test_counts_that_cannot_be_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
