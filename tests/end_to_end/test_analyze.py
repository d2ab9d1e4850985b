"""`assay analyze` on tables made elsewhere, such as the example in stats/README.md, and on recorded runs."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import builders

README = (Path(__file__).parents[2] / "stats" / "README.md").read_text()


@pytest.fixture
def example(tmp_path) -> Path:
    """A folder with the README's table and plan as files."""
    section = README[README.index("## Scores made elsewhere") :]
    for language, name in (("csv", "scores.csv"), ("yaml", "plan.yaml")):
        block = re.search(rf"```{language} {name}\n(.*?)```", section, re.DOTALL)
        assert block
        (tmp_path / name).write_text(block[1])
    return tmp_path


def test_the_readmes_example_finds_the_larger_arm_better(assay, example):
    answer = assay("analyze", "scores.csv", "--plan", "plan.yaml", "--json", folder=example)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert (found["num_rows"], found["exploratory"]) == (6, False)
    larger, distilled = found["comparisons"]
    assert larger["ci_low"] > 0 > distilled["ci_low"]
    assert larger["estimate"] == pytest.approx(0.61 / 6)
    shown = assay("analyze", "scores.csv", "--plan", "plan.yaml", folder=example)
    assert "larger" in shown.stdout


@pytest.mark.parametrize("name", ["scores.tsv", "scores.csv.gz", "SCORES.CSV", "scores.pq"])
def test_every_kind_of_table_that_can_be_read_is_taken_for_a_table(assay, example, name):
    table = pd.read_csv(example / "scores.csv")
    if name.endswith("pq"):
        table.to_parquet(example / name)
    else:
        table.to_csv(example / name, index=False, sep="\t" if name.endswith("tsv") else ",")
    expected = assay("analyze", "scores.csv", "--plan", "plan.yaml", "--json", folder=example).stdout
    assert assay("analyze", name, "--plan", "plan.yaml", "--json", folder=example).stdout == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("baseline,larger", "basline,larger"), ["baseline", "did you mean 'basline'?"]),
        (("0.35", "good"), ["scores.csv", "line 2", "good"]),
        (("q2,", "q1,"), ["q1"]),
        (("0.35", "inf"), ["q2", "inf"]),
    ],
)
def test_a_bad_table_is_refused_with_its_place(assay, example, change, words):
    table = example / "scores.csv"
    table.write_text(table.read_text().replace(*change))
    answer = assay("analyze", "scores.csv", "--plan", "plan.yaml", folder=example)
    assert answer.returncode == 2, answer.stderr
    for word in words:
        assert word in answer.stderr


def test_another_plan_on_a_recorded_run_is_exploratory_and_the_recorded_one_is_not(assay, tmp_path):
    builders.write_experiment(tmp_path)
    assert assay("run", "experiment.yaml", "--in-process", folder=tmp_path).returncode == 0
    for alpha, exploratory in ((0.05, False), (0.01, True)):
        plan = {**builders.SUITE["plan"], "alpha": alpha}
        (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
        answer = assay("analyze", "experiment.yaml", "--plan", "plan.yaml", "--json", folder=tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["exploratory"] is exploratory


def test_power_answers_as_r_does_and_the_other_way_round(assay, tmp_path):
    # R 4.2.2: power.t.test(delta=0.3, sd=1.2, power=0.8, type="paired") -> n = 127.5
    words = ("power", "--design", "paired", "--scale", "continuous", "--sd-difference", "1.2", "--json")
    answer = assay(*words, "--effect", "0.3", "--power", "0.8", "--alpha", "0.05", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["num_rows"] == 128
    back = json.loads(assay(*words, "--rows", "128", folder=tmp_path).stdout)
    assert 0.299 < back["effect"] < 0.3
    family = json.loads(assay(*words, "--effect", "0.3", "--arms", "5", folder=tmp_path).stdout)
    assert family["num_rows"] > 128


def test_power_from_a_pilot_and_with_too_little_said(assay, example):
    answer = assay(
        "power", "--pilot", "scores.csv", "--plan", "plan.yaml", "--effect", "0.05", "--json", folder=example
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["num_rows"] > 1
    nothing = assay("power", "--effect", "0.3", folder=example)
    assert nothing.returncode == 2
    assert "sd" in nothing.stderr
    assert assay("power", "--pilot", "scores.csv", "--effect", "0.3", folder=example).returncode == 2
