"""The examples, commands and links in the READMEs are correct; `tests/readme.py` says how a block is checked."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import readme
from tests.readme import FOLDERS, ROOT

READMES = [ROOT / name / "README.md" for name in FOLDERS if (ROOT / name / "README.md").exists()]
LANGUAGES = {"console", "csv", "python", "sh", "text", "yaml"}


PREPARED: dict[str, Callable[[Path], None]] = {}
"""Functions that fill the folder in which a README's session starts, for READMEs that need more than an empty one."""


@pytest.fixture(params=READMES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request) -> readme.Readme:
    return readme.readme(request.param)


def test_every_link_leads_somewhere(page):
    for link in page.links:
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in readme.readme(target).anchors, link


def test_every_path_in_inline_code_exists(page):
    for code in page.inline:
        if code.startswith(tuple(f"{name}/" for name in FOLDERS)) and not set(code) & set("*<> "):
            assert (ROOT / code.partition(":")[0]).exists(), code


def test_every_command_in_inline_code_exists(page):
    commands = [code for code in page.inline if code.startswith("assay ")]
    for command in commands:
        readme.check_command(command)


def test_every_block_says_how_it_is_checked(page):
    for block in page.blocks:
        assert block.language in LANGUAGES, block.place


def test_every_command_that_is_only_shown_exists(page):
    for block in page.blocks:
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                for command in re.findall(r"(?:^|\s)(assay [a-z].*)", line.partition(" #")[0]):
                    readme.check_command(command)


def test_every_manifest_is_valid(page):
    for block in page.blocks:
        if block.language == "yaml" and ("kind:" in block.text or not block.is_file):
            readme.parsed(block)


def test_every_example_runs_and_prints_what_it_shows(page, tmp_path):
    PREPARED.get(str(page.path.relative_to(ROOT)), lambda _: None)(tmp_path)
    readme.run(page.blocks, tmp_path)
