"""Whatever decides a variant's answers is part of its identity: a change is a new run that names it, nothing else is."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import builders

CODE = {
    "entry.py": """
import importlib
from mine import answers
import sibling

def predict(features):
    plugin = importlib.import_module("plug" + "in")
    return answers.of(features["x"]) * sibling.FACTOR * plugin.FACTOR

class Model:
    def __init__(self, weights):
        paths = [weights] if isinstance(weights, str) else weights
        self.scale = sum(float(line) for path in paths for line in texts(path))

    def __call__(self, features):
        return (features["x"] * self.scale > 0.5) * 0.8 + 0.1

def texts(path):
    import pathlib
    path = pathlib.Path(path)
    return [file.read_text() for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
""",
    "sibling.py": "FACTOR = 1.0\n",
    "plugin.py": "FACTOR = 1.0\n",
    "mine/answers.py": "from . import deeper\ndef of(x):\n    return (x > deeper.CUT) * 0.8 + 0.1\n",  # a namespace package
    "mine/deeper.py": "CUT = 0.5\n",
    "src/apart.py": "CUT = 0.5\n",
    "one.txt": "1.0",
    "folder/a.txt": "0.5",
    "folder/b.txt": "0.5",
    "beside.py": "x = 1\n",
    "reading.py": """
import functools
import importlib
import pathlib

HERE = pathlib.Path(__file__).parent

def predict(features, file="model.txt"):
    return (features["x"] > cut(file) * plugin().FACTOR) * 0.8 + 0.1

@functools.cache
def cut(file):
    return float((HERE / file).read_text())

def plugin():
    return importlib.import_module("late_" + "plugin")
""",
    "late_plugin.py": "FACTOR = 1.0\n",
    "model.txt": "0.5",
}
ARMS = {
    "control": {"predictor": "callable", "entrypoint": "entry:predict", "code": ["plugin"], "output": "probabilities"},
    "one": {"predictor": "callable", "entrypoint": "entry:Model", "weights": "one.txt", "output": "probabilities"},
    "several": {
        "predictor": "callable",
        "entrypoint": "entry:Model",
        "weights": ["folder/a.txt", "folder/b.txt"],
        "output": "probabilities",
    },
    "folder": {"predictor": "callable", "entrypoint": "entry:Model", "weights": "folder", "output": "probabilities"},
}


@pytest.fixture
def project(tmp_path) -> Iterator[Path]:
    path = list(sys.path)
    yield written(tmp_path / "project")
    sys.path[:] = path
    forget_modules()


def forget_modules() -> None:
    for name in (
        "entry",
        "sibling",
        "plugin",
        "mine",
        "mine.answers",
        "mine.deeper",
        "apart",
        "reading",
        "late_plugin",
    ):
        sys.modules.pop(name, None)


def written(folder: Path) -> Path:
    """The experiment and its code; the ledger and the dataset are beside the folder, as another checkout needs."""
    arms = {name: {"kind": "Variant", "version": 1, **fields} for name, fields in ARMS.items()}
    builders.write_experiment(folder, arms=arms)
    for name, content in CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def run(assay: Callable, folder: Path, *options: str) -> dict:
    forget_modules()  # a run is a process of its own
    answer = assay("run", "experiment.yaml", "--in-process", "--json", *options, folder=folder)
    assert answer.returncode == 0, answer.stderr
    return {**json.loads(answer.stdout), "stderr": answer.stderr}


@pytest.mark.parametrize(
    ("name", "content", "changed", "named", "said"),
    [
        (
            "sibling.py",
            "FACTOR = 0.9\n",
            {*ARMS},
            "modules.sibling",
            "control, folder, one and 1 more: module sibling has changed",
        ),  # entry.py is the module of every arm
        ("mine/deeper.py", "CUT = 0.4\n", {*ARMS}, "modules.mine.deeper", "module mine.deeper has changed"),
        ("plugin.py", "FACTOR = 0.9\n", {"control"}, "modules.plugin", "arm control: module plugin has changed"),
        ("one.txt", "0.9", {"one"}, "weights", "arm one: weights: sha256:"),
        ("folder/b.txt", "0.4", {"several", "folder"}, "weights", "arm several: weights: sha256:"),
        ("folder/c.txt", "0.4", {"folder"}, "weights", "arm folder: weights: sha256:"),
    ],
)
def test_a_change_is_a_new_run_of_the_arms_that_it_concerns_and_verify_names_it(
    assay, project, name, content, changed, named, said
):
    first = run(assay, project)
    (project / name).write_text(content)
    forget_modules()
    verified = assay("verify", first["run_id"], "--in-process", "--ledger", str(project / "ledger"), folder=project)
    assert named in " ".join(verified.stdout.split()), verified.stdout
    second = run(assay, project)
    assert second["run_id"] != first["run_id"]
    assert f"changed since run {first['run_id']}:" in second["stderr"]
    assert said in second["stderr"]
    evaluated = {arm["arm"] for arm in second["arms"] if not arm["num_units_reused"]}
    assert evaluated == changed


def test_another_checkout_of_the_same_tree_is_reused_in_full(assay, project, tmp_path):
    first = run(assay, project)
    other = written(tmp_path / "other" / "checkout")
    for name in ("entry.py", "mine/deeper.py"):
        (other / name).write_bytes((other / name).read_bytes().replace(b"\n", b"\r\n"))
    shutil.rmtree(project / "mine")  # nothing comes from the first checkout
    sys.path[:] = [each for each in sys.path if each != str(project)]
    second = run(assay, other, "--ledger", str(project / "ledger"))
    assert second["run_id"] == first["run_id"]
    assert "already committed" in second["stderr"]


@pytest.mark.parametrize("layout", ["src", "editable"])
def test_code_in_a_src_layout_or_an_editable_install_is_covered(assay, project, monkeypatch, layout):
    monkeypatch.syspath_prepend(project / "src")  # what a .pth file of an editable install does
    name = "src/apart.py"
    if layout == "editable":
        (project / "src" / "package").mkdir()
        name = "src/package/__init__.py"
        (project / name).write_text("CUT = 0.5\n")
    module = "package" if layout == "editable" else "apart"
    (project / "mine" / "answers.py").write_text(
        f"from {module} import CUT\ndef of(x):\n    return (x > CUT) * 0.8 + 0.1\n"
    )
    first = run(assay, project)
    sys.modules.pop(module, None)
    (project / name).write_text("CUT = 0.4\n")
    assert run(assay, project)["run_id"] != first["run_id"]
    sys.modules.pop(module, None)


def test_another_version_of_a_package_that_the_code_imports_is_a_new_run(assay, project, tmp_path, monkeypatch):
    site = tmp_path / "lib" / "site-packages"
    metadata = site / "rapid_learn-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    (metadata.parent / "top_level.txt").write_text("rapidlearn\n")
    (site / "rapidlearn.py").write_text("CUT = 0.5\n")
    monkeypatch.syspath_prepend(site)
    (project / "mine" / "deeper.py").write_text("from rapidlearn import CUT\n")
    runs = []
    for version in ("1.0", "1.1"):
        metadata.write_text(f"Metadata-Version: 2.1\nName: rapid-learn\nVersion: {version}\n")
        runs.append(run(assay, project)["run_id"])
    assert runs[0] != runs[1]


def test_a_pinned_digest_is_compared_before_the_code_runs(assay, project):
    fields = {"kind": "Variant", "version": 1, **ARMS["control"], "code_digest": "sha256:" + "0" * 64}
    builders.write_experiment(project, arms={"control": fields, "one": fields})
    (project / "sibling.py").write_text("raise RuntimeError('it runs')\n")
    forget_modules()
    answer = assay("run", "experiment.yaml", "--in-process", folder=project)
    assert answer.returncode == 2
    assert "does not have the pinned digest" in answer.stderr
    assert "it runs" not in answer.stderr


def test_no_code_runs_before_every_pinned_digest_is_compared(assay, project):
    fields = {"kind": "Variant", "version": 1, **ARMS["control"]}
    builders.write_experiment(project, arms={"control": fields, "one": {**fields, "code_digest": "sha256:" + "0" * 64}})
    (project / "sibling.py").write_text("raise RuntimeError('it runs')\n")
    forget_modules()
    answer = assay("run", "experiment.yaml", "--in-process", folder=project)
    assert answer.returncode == 2
    assert "arm 'one'" in answer.stderr
    assert "does not have the pinned digest" in answer.stderr


def test_weights_for_a_function_that_cannot_take_them_are_refused(assay, project):
    fields = {**ARMS["one"], "entrypoint": "entry:predict"}
    arms = {"control": {"kind": "Variant", "version": 1, **fields}, "one": {"kind": "Variant", "version": 1, **fields}}
    builders.write_experiment(project, arms=arms)
    forget_modules()
    answer = assay("run", "experiment.yaml", "--in-process", folder=project)
    assert answer.returncode == 2
    assert "cannot take weights" in answer.stderr


def test_a_run_says_what_changed_in_the_suite_the_parameters_and_the_arms(assay, tmp_path):
    builders.write_experiment(tmp_path, arms={"control": builders.ARMS["control"], "better": builders.variant()})
    first = run(assay, tmp_path)
    assert "changed since" not in first["stderr"]
    suite = {**builders.SUITE, "batch_size": 16}
    arms = {"control": builders.variant(flip_every=4), "other": builders.variant()}
    builders.write_experiment(tmp_path, arms=arms, suite=suite)
    stderr = run(assay, tmp_path)["stderr"]
    for line in (
        "suite.batch_size: 32 -> 16",
        "arm control: parameters.flip_every: 5 -> 4",
        "arm better: no longer in the experiment",
        "arm other: new",
    ):
        assert f"  {line}\n" in stderr


READING = {
    "kind": "Variant",
    "version": 1,
    "predictor": "callable",
    "entrypoint": "reading:predict",
    "output": "probabilities",
}


def write_reading(folder: Path) -> None:
    builders.write_experiment(folder, arms={"control": builders.ARMS["control"], "reads": READING})


@pytest.mark.parametrize(("name", "content"), [("model.txt", "0.4"), ("late_plugin.py", "FACTOR = 0.8\n")])
def test_a_file_that_only_the_running_code_opens_is_compared_with_the_run_before(assay, project, name, content):
    write_reading(project)
    first = run(assay, project)
    assert run(assay, project)["run_id"] == first["run_id"]
    before = (project / name).read_text()
    (project / name).write_text(content)
    forget_modules()
    verified = assay("verify", first["run_id"], "--in-process", "--ledger", str(project / "ledger"), folder=project)
    assert f"files.{name}" in " ".join(verified.stdout.split()), verified.stdout
    second = run(assay, project)
    assert second["run_id"] != first["run_id"]
    assert f"  arm reads: file {name} has changed\n" in second["stderr"]
    assert [arm["num_units_reused"] > 0 for arm in second["arms"]] == [True, False]
    assert run(assay, project)["run_id"] == second["run_id"]
    (project / name).write_text(before)
    assert run(assay, project)["run_id"] == first["run_id"]


def test_a_file_that_is_opened_while_the_entrypoint_is_imported_is_compared(assay, project):
    write_reading(project)
    source = (project / "reading.py").read_text()
    (project / "reading.py").write_text(source + "\nTEXT = (HERE / 'sibling.txt').read_text()\n")
    (project / "sibling.txt").write_text("1")
    first = run(assay, project)
    (project / "sibling.txt").write_text("2")
    second = run(assay, project)
    assert second["run_id"] != first["run_id"]
    assert "  arm reads: file sibling.txt has changed\n" in second["stderr"]


def test_a_file_that_the_code_has_opened_and_that_is_gone_is_a_change(assay, project):
    write_reading(project)
    source = (project / "reading.py").read_text()
    optional = "    scale = float((HERE / 'scale').read_text()) if (HERE / 'scale').exists() else 1.0\n"
    (project / "reading.py").write_text(
        source.replace("    return (features", f"{optional}    return scale * (features")
    )
    (project / "scale").write_text("0.5")
    first = run(assay, project)
    (project / "scale").unlink()
    second = run(assay, project)
    assert second["run_id"] != first["run_id"]
    assert "  arm reads: file scale has changed\n" in second["stderr"]


def test_a_file_beside_the_rows_and_the_ledger_is_compared(assay, project):
    write_reading(project)
    source = (project / "reading.py").read_text()
    (project / "reading.py").write_text(
        source + "\nTEXT = [(HERE / p).read_text() for p in ('datasets/t', 'ledger/t')]\n"
    )
    for folder in ("datasets", "ledger"):
        (project / folder).mkdir(exist_ok=True)
        (project / folder / "t").write_text("1")
    run(assay, project)
    for folder in ("datasets", "ledger"):
        (project / folder / "t").write_text("2")
        assert f"  arm reads: file {folder}/t has changed\n" in run(assay, project)["stderr"]


def test_a_module_that_only_the_running_code_imports_may_have_other_line_endings(assay, project):
    write_reading(project)
    first = run(assay, project)
    (project / "late_plugin.py").write_bytes(b"FACTOR = 1.0\r\n")
    assert run(assay, project)["run_id"] == first["run_id"]


def test_another_experiment_does_not_reuse_what_was_scored_with_the_file_as_it_was(assay, project):
    write_reading(project)
    run(assay, project)
    (project / "model.txt").write_text("0.4")
    builders.write_experiment(project, arms={"control": builders.ARMS["control"], "renamed": READING}, name="second")
    assert [arm["num_units_reused"] > 0 for arm in run(assay, project)["arms"]] == [True, False]
