from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from assay.manifests.errors import InvalidInput
from assay.stats.errors import SamplesError
from assay.stats.sequential import racing

ROWS = 10


def look(sums_UA, num_units, **changes):
    """A look at a race of units of 10 rows that score 0 to 1; arms are a, b, ... unless named."""
    sums_UA = np.asarray(sums_UA, dtype=float)
    options = {
        "rows_U": np.full(len(sums_UA), ROWS),
        "arms": [chr(ord("a") + arm) for arm in range(sums_UA.shape[1])],
    }
    dataset = {"num_units": num_units, "num_rows": ROWS * num_units, "unit_rows": ROWS}
    rules = {"direction": "higher", "margin": 0.0, "alpha": 0.05, "bounds": (0.0, 1.0)}
    assert changes.keys() <= options.keys() | dataset.keys() | rules.keys()
    for part in (options, dataset, rules):
        part.update({name: value for name, value in changes.items() if name in part})
    return racing.race(sums_UA, **options, dataset=racing.RacedDataset(**dataset), rules=racing.RaceRules(**rules))


def eliminated(found):
    return {each.arm for each in found.arms if each.eliminated}


def drawn(num_units, num_arms, *, seed, gaps=0.0, bound=ROWS):
    rng = np.random.default_rng(seed)
    return rng.binomial(bound, np.clip(rng.uniform(0.4, 0.9, (num_units, 1)) - gaps, 0, 1), (num_units, num_arms))


@pytest.mark.parametrize(
    ("num_units", "options", "expected"),
    [
        (60, {"first": 8, "growth": 1.5}, (8, 12, 18, 27, 40, 60)),
        (16, {"first": 4, "growth": 2}, (4, 8, 16)),
        (5, {"first": 8, "growth": 1.5}, (5,)),
        (1, {"first": 8, "growth": 1.5}, (1,)),
        (4, {"first": 1, "growth": 1}, (1, 2, 3, 4)),  # a wave has at least one unit
    ],
)
def test_waves_grow_to_all_units(num_units, options, expected):
    assert racing.waves(num_units, **options) == expected


@pytest.mark.parametrize(("num_units", "first", "growth"), [(0, 8, 2), (5, 0, 2), (5, 8, 0.9), (5, 8, float("inf"))])
def test_waves_that_go_nowhere_are_refused(num_units, first, growth):
    with pytest.raises(InvalidInput, match="not a valid schedule of waves"):
        racing.waves(num_units, first=first, growth=growth)


def fortune_by_hand(sums, arm, num_units, *, margin, bounded):
    """The largest fortune of one arm's gambler, unit by unit in exact fractions."""
    fortune = largest = Fraction(1)
    for unit in range(1, len(sums)):
        totals = [sum(each) for each in zip(*sums[:unit], strict=True)]
        leads = [each[totals.index(max(totals))] - each[arm] for each in sums[: unit + 1]]
        worst = (ROWS if bounded else 2 * max(abs(lead) for lead in leads[:-1])) + margin * ROWS
        *excess, now = (lead - margin * ROWS for lead in leads)
        expected = -sum(excess) / Fraction(num_units - unit)
        about = [each - expected for each in excess]
        stake = max(Fraction(0), sum(about)) / (sum(each**2 for each in about) + Fraction(worst) ** 2 / 4 or 1)
        fortune *= 1 + min(stake, 1 / (expected + worst or 1)) * (now - expected)
        largest = max(largest, fortune)
    return largest


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
@pytest.mark.parametrize("margin", [Fraction(0), Fraction(1, 16)])
def test_fortunes_are_those_of_exact_fractions(margin, bounds):
    sums = [(9, 5, 8), (8, 7, 8), (7, 3, 10), (9, 9, 2), (10, 4, 9), (6, 7, 5), (9, 4, 10), (8, 3, 10)]  # a, c, a lead
    found = look(sums, 20, margin=float(margin), bounds=bounds)
    for arm in range(3):
        fortune = fortune_by_hand(sums, arm, 20, margin=margin, bounded=bounds is not None)
        assert found.arms[arm].p_value == pytest.approx(float(1 / fortune), rel=1e-12)
    assert found.arms[1].p_value < 0.75


@pytest.mark.parametrize(("num_units", "allowed"), [(16, 3), (60, 8), (200, 8)])
def test_an_arm_is_dropped_soon_after_hidden_units_can_no_longer_save_it(num_units, allowed):
    """Each unit seen has a lead of 2 of 10 rows. The arm is best if m units at the other extreme are yet to come."""
    num_hidden = -(-2 * num_units // (2 + ROWS))
    chance_K = stats.hypergeom.pmf(
        0, num_units, num_hidden, np.arange(num_units + 1)
    )  # the probability that none of them was seen
    first = int(np.argmax(chance_K <= 0.05))
    for num_seen in range(1, first + allowed):
        assert not eliminated(look([[8, 6]] * num_seen, num_units)) or num_seen >= first
    assert eliminated(look([[8, 6]] * (first + allowed), num_units)) == {"b"}


@pytest.mark.parametrize(
    ("population", "margin"),
    [
        pytest.param(
            [[0, 10], [10, 4], [10, 4], [10, 4], [0, 8], [0, 0]], 0.0, marks=pytest.mark.extended
        ),  # equally good, in units that differ strongly
        pytest.param(
            [[0, 10], [10, 7], [9, 7], [9, 7], [8, 7], [9, 7]], 0.0, marks=pytest.mark.extended
        ),  # one unit makes the best arm the best
        pytest.param([[8, 2], [2, 8], [5, 5], [10, 0], [0, 10], [5, 5]], 0.0, marks=pytest.mark.extended),
        ([[9, 6], [9, 4], [8, 7], [10, 6], [9, 7], [0, 5]], 10 / 60),  # worse by exactly the margin
        pytest.param(
            [[10, 5, 0], [0, 5, 10], [10, 5, 2], [2, 5, 10], [6, 7, 0], [2, 3, 8]], 0.0, marks=pytest.mark.extended
        ),  # the lead changes
    ],
)
def test_over_all_orders_of_the_units_no_level_is_exceeded(population, margin):
    """All 720 orders of six units: the smallest p-value of a race is at most a level in at most that share of them."""
    population = np.array(population, dtype=float)
    assert (population - population[:, [1]]).sum(axis=0).max() <= margin * ROWS * 6 + 1e-9
    p_values = [look(population[list(order[:5])], 6, margin=margin).arms[1].p_value for order in permutations(range(6))]
    assert min(p_values) < 0.5
    for level in sorted(set(p_values)):
        assert np.mean(np.array(p_values) <= level) <= level


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_the_best_of_many_arms_stays_and_most_others_go(bounds):
    """Sorted data: units differ strongly. A binomial of 0.05 exceeds 8 of 60 once in 300."""
    num_units, num_eliminated, num_left = 60, 0, []
    for seed in range(60):
        sums_UA = drawn(num_units, 12, seed=seed, gaps=np.array([0.0] * 2 + [0.25] * 10)).astype(float)
        best = "abcdefghijkl"[int(np.argmax(sums_UA.sum(axis=0)))]
        found = look(np.random.default_rng(seed).permutation(sums_UA)[:40], num_units, bounds=bounds)
        num_eliminated += best in eliminated(found)
        num_left.append(12 - len(eliminated(found)))
    assert num_eliminated <= 8
    assert np.mean(num_left) < 4


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
@pytest.mark.parametrize(("margin", "expected"), [(0.0, {"b", "c"}), (0.02, {"c"}), (0.2, set())])
def test_with_all_units_seen_everything_is_exact(bounds, margin, expected):
    sums_UA = [[9, 8.9, 7], [5, 5.1, 5], [3, 2.9, 4]]
    found = look(sums_UA, 3, bounds=bounds, margin=margin, rows_U=[10, 10, 5], num_rows=25)
    assert found.leader == "a"
    assert [each.shortfall for each in found.arms] == pytest.approx([0, 0.1 / 25, 1 / 25])
    assert [each.shortfall_low for each in found.arms] == [each.shortfall for each in found.arms]
    assert eliminated(found) == expected


def test_arms_in_another_order_are_judged_the_same_to_the_last_bit():
    sums_UA = drawn(30, 5, seed=4, gaps=np.array([0, 0, 0.05, 0.2, 0.3]))
    names = ["e", "b", "d", "a", "c"]
    order = [3, 1, 4, 2, 0]
    one = look(sums_UA[:20], 30, arms=names)
    other = look(sums_UA[:20][:, order], 30, arms=[names[arm] for arm in order])
    assert one.leader == other.leader
    assert {each.arm: each for each in one.arms} == {each.arm: each for each in other.arms}
    assert [each.arm for each in one.arms] == names


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_lower_is_higher_of_the_negative(bounds):
    sums_UA = drawn(30, 4, seed=5, gaps=np.array([0, 0.1, 0.2, 0.3]))[:20]
    one = look(sums_UA, 30, bounds=bounds)
    other = look(-sums_UA, 30, direction="lower", bounds=bounds and (-1.0, 0.0))
    assert eliminated(one)
    assert other == replace(one, arms=tuple(replace(each, mean=-each.mean) for each in one.arms))


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_the_unit_of_the_score_does_not_matter(bounds):
    sums_UA = drawn(30, 4, seed=5, gaps=np.array([0, 0.1, 0.2, 0.3]))[:20]
    one = look(sums_UA, 30, bounds=bounds, margin=0.03125)
    other = look(sums_UA * 1024, 30, bounds=bounds and (0.0, 1024.0), margin=32.0)
    assert eliminated(one)
    assert [each.p_value for each in one.arms] == [each.p_value for each in other.arms]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.03, 0.1]), st.sampled_from([(0.0, 1.0), None]))
@settings(max_examples=20)
def test_evidence_only_grows_and_what_is_eliminated_stays_eliminated(seed, margin, bounds):
    sums_UA = drawn(30, 4, seed=seed, gaps=np.array([0, 0.05, 0.2, 0.4]))
    looks = [look(sums_UA[:num], 30, margin=margin, bounds=bounds) for num in range(1, 30)]
    for before, after in pairwise(looks):
        for one, other in zip(before.arms, after.arms, strict=True):
            assert other.p_value <= one.p_value
            assert other.eliminated or not one.eliminated
            assert other.shortfall_low >= one.shortfall_low - 1e-4


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.03, 0.1]), st.sampled_from([(0.0, 1.0), None]))
@settings(max_examples=20)
def test_the_least_shortfall_exceeds_the_margin_where_the_arm_is_eliminated_and_only_there(seed, margin, bounds):
    sums_UA = drawn(30, 4, seed=seed, gaps=np.array([0, 0.1, 0.2, 0.5]))[:18]
    for each in look(sums_UA, 30, margin=margin, bounds=bounds).arms:
        assert each.eliminated == (each.p_value <= 0.05)
        assert (each.shortfall_low >= margin) if each.eliminated else (each.shortfall_low <= margin)
        assert 0 <= each.shortfall_low <= 1


def test_a_dropped_arm_leaves_what_it_showed():
    """What others won against it while it led remains part of the evidence."""
    sums_UA = drawn(40, 3, seed=8, gaps=np.array([0.2, 0.3, 0])).astype(float)
    before = look(sums_UA[:12], 40)
    assert before.leader == "c"
    sums_UA[12:, 2] = np.nan
    after = look(sums_UA[:13], 40)
    assert [each.arm for each in after.arms] == ["a", "b"]
    assert after.leader == "a"
    assert after.arms[0].p_value == before.arms[0].p_value < 0.5
    assert after.arms[1].p_value <= before.arms[1].p_value < 0.5


@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
@pytest.mark.parametrize(
    "sums_UA",
    [
        [[7, 7], [3, 3], [10, 10], [0, 0]],  # identical arms
        [[9, 1]],  # one unit: nothing is known about the others
        [[0, 0]] * 10,  # no variance at all
        [[5]] * 10,  # a single arm
        [[9, 3], [3, 9]] * 6,  # equal at every even unit
    ],
)
def test_nothing_is_eliminated_without_a_reason(sums_UA, bounds):
    found = look(sums_UA, 100, bounds=bounds)
    assert found.leader == "a"
    assert not eliminated(found)
    assert all(np.isfinite([each.p_value, each.shortfall, each.shortfall_low]).all() for each in found.arms)


def test_an_arm_that_can_no_longer_win_is_eliminated_for_certain():
    """Six units took all their rows; the four left when the seventh was drawn could not make up for them."""
    found = look([[10, 0]] * 7, 10)
    assert found.arms[1].p_value == 0
    assert found.guarantee == "exact"


def test_a_unit_worse_than_thought_possible_ends_the_bet_without_bounds():
    """Without it, the arm would be eliminated; after it, the gambler has nothing left to stake."""
    assert eliminated(look([[2, 1]] * 20, 40, bounds=None)) == {"b"}
    found = look([[2, 1]] * 4 + [[0, 9]] + [[2, 1]] * 15, 40, bounds=None)
    assert found.guarantee == "approximate"
    assert not eliminated(found)


def good(**changes):
    return {"sums_UA": [[8, 6], [7, 7]], "num_units": 9} | changes


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"alpha": 0.0}, InvalidInput, "alpha must be a probability"),
        ({"margin": -0.1}, InvalidInput, "not a valid margin"),
        ({"margin": float("nan")}, InvalidInput, "not a valid margin"),
        ({"num_units": 1}, InvalidInput, "cannot be a part of the dataset"),
        ({"num_rows": 21}, InvalidInput, "cannot be a part of the dataset"),
        ({"num_rows": 1000}, InvalidInput, "cannot be a part of the dataset"),
        ({"rows_U": [10, 11], "num_rows": 91}, InvalidInput, "not a valid number of rows of a unit"),
        ({"sums_UA": [[8, 6, 5]], "arms": ["a", "b"]}, SamplesError, "do not have the shape units x arms"),
        ({"sums_UA": [[8, np.nan], [7, 7]]}, SamplesError, "missing before other sums of its arm"),
        ({"sums_UA": [[8, np.inf], [7, 7]], "bounds": None}, SamplesError, "not finite"),
        ({"sums_UA": [[8, 11], [7, 7]]}, SamplesError, "outside the range of its rows' scores"),
        ({"sums_UA": [[8, -1], [7, 7]]}, SamplesError, "unit 0 in drawn order, arm 'b'"),
        ({"sums_UA": [[8, 8], [np.nan, np.nan]]}, SamplesError, "no arm is left"),
    ],
)
def test_what_is_no_race_is_refused(changes, error, words):
    options = good(**changes)
    with pytest.raises(error, match=words):
        look(options.pop("sums_UA"), options.pop("num_units"), **options)
