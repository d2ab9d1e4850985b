import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from assay.manifests.errors import InvalidInput
from assay.manifests.plan import Plan
from assay.stats.power import power, proportion_power
from assay.stats.power.mean_power import MeanDesign
from assay.stats.power.omnibus_power import AnovaDesign
from assay.stats.power.question import Question
from assay.stats.samples.columns import of_arms
from tests.stats.golden import golden

GOLDEN = golden("power")
Z = 1.959963984540054


def answer(**arguments):
    return power.answer(Question(**arguments))


def words_of(call):
    return {name: text.strip("'") for name, text in re.findall(r"([\w.]+)=([^,)]+)", call)}


@pytest.mark.parametrize("case", GOLDEN["calls"], ids=lambda case: case["call"])
def test_answers_agree_with_r(case):
    given = words_of(case["call"])
    common = {"alpha": float(given.get("sig.level", 0.05))}
    if "power" in given:
        common["power"] = float(given["power"])
    if "n" in given:
        common["rows"] = float(given["n"])
    if case["call"].startswith("power.t.test"):
        paired = given.get("type") == "paired"
        common |= {"design": "paired", "sd_difference": float(given["sd"])} if paired else {"design": "unpaired"}
        common |= {} if paired else {"sd": float(given["sd"])}
        common |= {"effect": float(given["delta"])} if "delta" in given else {}
    else:
        common |= {"design": "unpaired", "scale": "binary", "rate_control": float(given["p1"])}
        common |= {"rate_variant": float(given["p2"])} if "p2" in given else {}
    found = answer(**common)
    if "n" not in given:
        assert found.num_rows_exact == pytest.approx(case["value"], rel=1e-8)
        assert found.num_rows == math.ceil(case["value"])
    elif "power" not in given:
        assert found.power == pytest.approx(case["value"], rel=1e-8)
    elif "p1" in given:
        assert float(given["p1"]) + found.effect == pytest.approx(case["value"], rel=1e-8)
    else:
        assert found.effect == pytest.approx(case["value"], rel=1e-8)


@pytest.mark.parametrize("case", GOLDEN["rm_anova"])
def test_repeated_measures_power_agrees_with_the_noncentral_f_of_r(case):
    design = AnovaDesign(case["k"], correlation=case["rho"], epsilon=case["eps"])
    assert design.power(case["n"], case["f"]) == pytest.approx(case["power"], abs=1e-8)
    assert design.rows_for(case["f"], power=case["power"]) == pytest.approx(case["n"], rel=1e-6)
    assert design.effect_for(case["n"], power=case["power"]) == pytest.approx(case["f"], rel=1e-6)


def test_rows_agree_with_miller_2024():
    # Miller 2024 (arXiv:2411.00640), section 5: w^2 = 1/9, many generations per row, delta = 0.03, power 0.8: n = 969.
    # Miller uses the normal limit; t needs two more rows.
    assert answer(design="paired", sd_difference=1 / 3, effect=0.03).num_rows == 971


def test_rows_and_effects_are_inverse():
    for arms, family in ((2, "dunnett"), (5, "dunnett"), (5, "tukey")):
        arguments = {"design": "paired", "sd_difference": 1.2, "arms": arms, "family": family}
        rows = answer(**arguments, effect=0.3).num_rows_exact
        assert answer(**arguments, rows=rows).effect == pytest.approx(0.3, rel=1e-9)
        assert answer(**arguments, rows=rows, effect=0.3).power == pytest.approx(0.8, rel=1e-9)


def test_the_family_costs_rows_and_two_arms_are_not_adjusted():
    rows = {
        (arms, family): answer(design="paired", sd_difference=1.2, effect=0.3, arms=arms, family=family).num_rows
        for arms in (2, 5)
        for family in ("dunnett", "tukey")
    }
    assert rows[2, "dunnett"] == rows[2, "tukey"] == 128
    assert 128 < rows[5, "dunnett"] < rows[5, "tukey"]


def test_power_of_a_family_is_what_simulation_finds():
    """Four variants against a control, equally correlated; one is better. Brute force by max-T."""
    rng = np.random.default_rng(1)
    num_rows, effect, num_sets = 40, 0.6, 4000
    design = MeanDesign(1.2, num_arms=5)
    scores = rng.normal(size=(num_sets, num_rows, 5)) * 1.2 / math.sqrt(2)
    differences = scores[..., 1] - scores[..., 0] + effect
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / math.sqrt(num_rows))
    assert design.power(num_rows, effect) == pytest.approx((t > design.critical_at(num_rows)).mean(), abs=0.025)


def test_clusters_multiply_rows_by_the_design_effect():
    arguments = {"design": "paired", "sd_difference": 1.2, "effect": 0.1}
    alone, clustered = answer(**arguments), answer(**arguments, cluster_size=20, icc=0.1)
    assert clustered.num_rows == pytest.approx(alone.num_rows * 2.9, rel=0.02)  # a little more: t on clusters - 1
    assert clustered.num_rows > alone.num_rows * 2.9
    assert clustered.num_clusters == math.ceil(clustered.num_rows / 20)
    assert answer(**arguments, cluster_size=1, icc=0.5).num_rows == alone.num_rows


def test_power_with_clusters_is_what_simulation_finds():
    rng = np.random.default_rng(2)
    num_clusters, size, icc, effect, num_sets = 16, 10, 0.2, 0.35, 3000
    rows = rng.normal(size=(num_sets, num_clusters, size)) * math.sqrt(1 - icc)
    means = (rows + rng.normal(size=(num_sets, num_clusters, 1)) * math.sqrt(icc)).mean(axis=2) + effect
    t = means.mean(axis=1) / (means.std(axis=1, ddof=1) / math.sqrt(num_clusters))
    simulated = (t > stats.t.isf(0.025, num_clusters - 1)).mean()
    found = answer(
        design="paired", sd_difference=1, effect=effect, rows=num_clusters * size, cluster_size=size, icc=icc
    )
    assert found.power == pytest.approx(simulated, abs=0.03)


def test_rows_of_mcnemar_agree_with_connor():
    # Connor 1987, Biometrics 43:207, equation 3, written out
    p, d = 0.2, 0.05
    by_hand = (Z * math.sqrt(p) + 0.8416212335729143 * math.sqrt(p - d**2)) ** 2 / d**2
    found = answer(design="paired", scale="binary", discordant=p, effect=d)
    assert found.num_rows_exact == pytest.approx(by_hand, rel=1e-9)
    back = answer(design="paired", scale="binary", discordant=p, rows=by_hand)
    assert back.effect == pytest.approx(d, rel=1e-9)


def test_discordance_follows_from_rates_and_correlation():
    # by the 2 x 2 table: p11 = p1 p2 + r sqrt(p1 q1 p2 q2)
    found = answer(design="paired", scale="binary", rate_control=0.8, rate_variant=0.85, correlation=0.6)
    both = 0.8 * 0.85 + 0.6 * math.sqrt(0.8 * 0.2 * 0.85 * 0.15)
    same = answer(design="paired", scale="binary", discordant=0.8 + 0.85 - 2 * both, effect=0.05)
    assert found.num_rows_exact == pytest.approx(same.num_rows_exact, rel=1e-9)
    back = answer(design="paired", scale="binary", rate_control=0.8, correlation=0.6, rows=found.num_rows_exact)
    assert back.effect == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("num_rows", "p", "d"), [(60, 0.3, 0.2), (25, 0.9, 0.5)])
def test_exact_power_of_the_midp_is_a_full_enumeration(num_rows, p, d):
    total = 0.0
    for b in range(num_rows + 1):
        for c in range(min(b, num_rows + 1 - b)):
            m = b + c
            if 2 * stats.binom.cdf(c, m, 0.5) - stats.binom.pmf(c, m, 0.5) < 0.05:
                total += stats.multinomial.pmf([b, c, num_rows - m], num_rows, [(p + d) / 2, (p - d) / 2, 1 - p])
    assert proportion_power.midp_power(num_rows, discordant=p, effect=d, alpha=0.05) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize(("num_rows", "p", "d"), [(400, 0.1, 0.05), (2000, 0.2, 0.03), (50_000, 0.05, 0.003)])
def test_connor_is_near_the_exact_power(num_rows, p, d):
    exact = proportion_power.midp_power(num_rows, discordant=p, effect=d, alpha=0.05)
    assert proportion_power.PairedProportions(Z, discordant=p).power(num_rows, d) == pytest.approx(exact, abs=0.02)


def test_omnibus_in_units_of_the_score_is_what_simulation_finds():
    rng = np.random.default_rng(3)
    num_rows, k, effect, sd_difference, num_sets = 30, 4, 0.7, 1.0, 3000
    means = np.array([effect / 2, -effect / 2, 0, 0])  # the largest difference, all others half-way
    scores = rng.normal(size=(num_sets, num_rows, k)) * sd_difference / math.sqrt(2) + means
    centred = scores - scores.mean(axis=2, keepdims=True)
    arm = centred.mean(axis=1)
    error = ((centred - arm[:, None]) ** 2).sum(axis=(1, 2)) / ((k - 1) * (num_rows - 1))
    f = num_rows * (arm**2).sum(axis=1) / (k - 1) / error
    simulated = (f > stats.f.isf(0.05, k - 1, (k - 1) * (num_rows - 1))).mean()
    found = answer(
        design="paired", sd_difference=sd_difference, effect=effect, rows=num_rows, arms=k, omnibus="rm_anova"
    )
    assert found.power == pytest.approx(simulated, abs=0.03)
    # Cohen 1988, table 8.3: f = 0.25, four groups, power 0.8 at 5 %: 45 in each group
    assert math.ceil(AnovaDesign(4, paired=False).rows_for(0.25, power=0.8)) == 45


def test_json_is_plain_and_complete():
    found = answer(design="paired", sd_difference=1.2, effect=-0.3).plain()
    assert json.loads(json.dumps(found)) == found
    assert {"num_rows", "num_rows_exact", "effect", "power", "alpha", "method", "assumptions"} <= set(found)
    assert (found["num_rows"], found["effect"]) == (128, 0.3)


def test_the_wrong_tail_counts_only_if_asked():
    arguments = {"design": "paired", "sd_difference": 1.0, "rows": 10, "effect": 0.01}
    # R: power.t.test(10, delta = .01, sd = 1, type = "paired", strict = TRUE)$power
    assert answer(**arguments, strict=True).power == pytest.approx(0.050092440, abs=1e-9)
    assert answer(**arguments).power < 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"design": "paired"}, "effect, rows.*--effect"),
        ({"design": "paired", "effect": 0.3}, "sd_difference.*--sd-difference"),
        ({"design": "paired", "effect": 0, "sd_difference": 1}, "effect of 0 cannot be detected"),
        ({"design": "paired", "effect": 0.3, "sd_difference": -1}, "-1.*above 0"),
        ({"design": "paired", "effect": 0.3, "sd_difference": 1, "power": 1}, "power.*below 1"),
        ({"design": "paired", "effect": 0.3, "sd_difference": 1, "alpha": 0}, "alpha.*above 0"),
        ({"design": "paired", "effect": 0.3, "sd_difference": 1, "arms": 1}, "number of arms.*got 1.*2 or more"),
        ({"design": "paired", "rows": 1, "sd_difference": 1}, "at least 2"),
        ({"design": "paired", "rows": 40, "sd_difference": 1, "cluster_size": 20, "icc": 0.1}, "at least 100"),
        ({"design": "paired", "effect": 1e-9, "sd_difference": 1}, "too small to detect"),
        ({"design": "paired", "effect": 0.3, "sd": 1}, "--sd and --correlation"),
        ({"design": "paired", "effect": 0.3, "sd_difference": 1, "icc": 0.1}, "--cluster-size and --icc"),
        (
            {"design": "paired", "effect": 0.3, "sd_difference": 1, "discordant": 0.1},
            "discordant: not applicable to a paired comparison of means",
        ),
        ({"design": "paired", "scale": "binary", "effect": 0.3, "discordant": 0.2}, "at most discordant = 0.2"),
        ({"design": "paired", "scale": "binary", "effect": 0.3}, "--discordant"),
        ({"design": "paired", "scale": "binary", "rows": 3, "discordant": 0.01}, "score more rows"),
        (
            {"design": "paired", "scale": "binary", "rate_control": 0.1, "rate_variant": 0.9, "correlation": 0.9},
            r"cannot have this correlation.*allowed: -1\.0000 to 0\.1111",
        ),
        (
            {"design": "paired", "scale": "binary", "rate_control": 0.1, "rate_variant": 0.2, "effect": 0.3},
            "leave out the effect or one of the rates",
        ),
        ({"design": "unpaired", "effect": 0.3}, "--sd,"),
        ({"design": "unpaired", "scale": "binary", "effect": 0.3, "rate_control": 0.8}, "outside 0 to 1"),
        ({"design": "sideways", "effect": 0.3}, "paired, unpaired"),
        ({"design": "unpaired", "effect": 0.3, "sd": 1, "omnibus": "rm_anova"}, "oneway if unpaired"),
        (
            {"design": "paired", "effect": 0.3, "sd_difference": 1, "arms": 4, "omnibus": "rm_anova", "epsilon": 0.1},
            "0.333",
        ),
    ],
)
def test_bad_questions_are_refused_with_value_bound_and_remedy(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        answer(**arguments)


def plan_of(**arguments):
    return Plan(kind="Plan", version=1, control="a", **arguments)


def test_a_pilot_gives_what_it_has():
    rng = np.random.default_rng(4)
    base = rng.normal(size=200)
    samples = of_arms({"a": base, "b": base + rng.normal(size=200) * 0.5, "c": base + rng.normal(size=200) * 2})
    found = power.from_pilot(samples, plan_of(), effect=0.5)
    sd = float(np.std(samples.scores_RA[:, 2] - samples.scores_RA[:, 0], ddof=1))
    assert found.num_rows == answer(design="paired", sd_difference=sd, effect=0.5, arms=3).num_rows
    assert any("'c' against 'a'" in said for said in found.assumptions)
    assert (
        power.from_pilot(samples, plan_of()).num_rows == 200
    )  # no effect and no rows: the minimum detectable effect of the pilot itself


def test_a_pilot_of_zeros_and_ones_gives_discordance():
    rng = np.random.default_rng(5)
    a = rng.integers(0, 2, 300)
    b = np.where(rng.random(300) < 0.1, 1 - a, a)
    found = power.from_pilot(of_arms({"a": a, "b": b}), plan_of(scale="binary"), effect=0.05)
    expected = answer(design="paired", scale="binary", discordant=float((a != b).mean()), effect=0.05)
    assert found.num_rows == expected.num_rows
    unpaired = power.from_pilot(of_arms({"a": a, "b": b}), plan_of(scale="binary", design="unpaired"), effect=0.05)
    rate = float(a.mean())
    assert unpaired.num_rows == answer(design="unpaired", scale="binary", rate_control=rate, effect=0.05).num_rows


def test_a_pilot_in_clusters_gives_their_correlation():
    rng = np.random.default_rng(6)
    clusters = np.repeat(np.arange(400), 10)
    difference = rng.normal(size=4000) * math.sqrt(0.7) + rng.normal(size=400)[clusters] * math.sqrt(0.3)
    base = rng.normal(size=4000)
    samples = of_arms({"a": base, "b": base + difference}, cluster=clusters)
    found = power.from_pilot(samples, plan_of(), effect=0.2)
    expected = answer(design="paired", sd_difference=1.0, effect=0.2, cluster_size=10, icc=0.3)
    assert found.num_rows == pytest.approx(expected.num_rows, rel=0.08)
    assert found.num_clusters == math.ceil(found.num_rows / 10)


def test_a_pilot_says_which_rows_it_left_out_and_refuses_what_tells_nothing():
    a = np.arange(10.0)
    b = a + np.array([0, 1] * 5)
    b[3] = np.nan
    assert any(
        "1 of the pilot's rows" in said for said in power.from_pilot(of_arms({"a": a, "b": b}), plan_of()).assumptions
    )
    with pytest.raises(InvalidInput, match="no difference between two arms varies"):
        power.from_pilot(of_arms({"a": a, "b": a + 0.1}), plan_of(), effect=1)
    with pytest.raises(InvalidInput, match="0 or 1"):
        power.from_pilot(of_arms({"a": a, "b": b}), plan_of(scale="binary"), effect=0.1)
