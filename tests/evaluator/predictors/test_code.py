"""Code that imports do not show is named by a variant, and its changes are told apart."""

from pathlib import Path

import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.code import code_of
from assay.manifests.code import Code


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    for name, content in {
        "answers.py": "import helper",
        "helper.py": "",
        "plugins/fast.py": "import deeper",
        "deeper.py": "",
        "prompts/a.txt": "Say yes.",
        "prompts/b.txt": "Say no.",
        "prompts/__pycache__/a.pyc": "cache",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("also", "modules", "files"),
    [
        ([], set(), set()),
        (["plugins.fast"], {"plugins.fast", "deeper"}, set()),
        (["prompts/a.txt"], set(), {"prompts/a.txt"}),
        (["prompts/*.txt"], set(), {"prompts/a.txt", "prompts/b.txt"}),
        (["prompts"], set(), {"prompts/a.txt", "prompts/b.txt"}),  # a folder without modules is one of files
        (["helper.py"], set(), {"helper.py"}),
    ],
)
def test_modules_files_folders_and_globs_are_covered(project, also, modules, files):
    code = code_of("answers:net", also=also, folders=[str(project)])
    assert set(code.modules) == {"answers", "helper", *modules}
    assert set(code.files) == files


def test_what_is_not_there_is_refused(project):
    with pytest.raises(
        VariantError, match=r"code: no module and no file of that name; got promts; did you mean 'prompts'"
    ):
        code_of("answers:net", also=["promts"], folders=[str(project)])


def test_a_change_is_named(project):
    before = code_of("answers:net", also=["prompts"], folders=[str(project)])
    (project / "helper.py").write_text("x = 1")
    (project / "prompts" / "c.txt").write_text("")
    (project / "prompts" / "b.txt").unlink()
    after = code_of("answers:net", also=["prompts"], folders=[str(project)])
    assert before.changes(after) == (
        "module helper has changed",
        "file prompts/b.txt is no longer used",
        "file prompts/c.txt is new",
    )
    assert Code(modules={}, distributions={"a": "1"}, files={}).changes(
        Code(modules={}, distributions={"a": "2"}, files={})
    ) == ("distribution a: 1 -> 2",)
