"""Parses a README for its tests (links, headings, inline code, code blocks) and runs its blocks in a session.

The words after a block's fence say how the block is checked:

    yaml                 a complete manifest; it is parsed
    yaml KIND            part of a manifest of this kind; it is merged into a small valid one and parsed
    LANGUAGE NAME.EXT    a file; it is written under this name into the session's folder
    console              `$ command` lines, each followed by lines that it must print, in this order; `…` matches any
                         text; `# exit N` after a command is its exit code
    python               code that is executed in the session's folder
    sh                   commands that need more than one machine; their commands and options must exist
    text                 a drawing; it is not checked
"""

import contextlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer.testing import CliRunner

from assay.cluster.cli import main
from assay.manifests import Manifest, parse

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "manifests" / "examples"
FOLDERS = ("manifests", "evaluator", "stats", "cluster", "scripts", "tests", ".github")

_VARIANT = {"kind": "Variant", "version": 1, "predictor": "callable", "entrypoint": "models:rule", "output": "labels"}
_PLAN = {"kind": "Plan", "version": 1, "control": "baseline"}
_POLICY = {"kind": "Policy", "version": 1}
_SUITE = {
    "kind": "Suite",
    "version": 1,
    "batch_size": 8,
    "metrics": [{"name": "accuracy", "measure": "accuracy"}],
    "plan": {**_PLAN, "metric": "accuracy", "scale": "binary"},
    "policy": _POLICY,
}
_SMALLEST = {
    "Contract": {
        "kind": "Contract",
        "version": 1,
        "columns": [
            {"name": "x", "role": "feature", "type": "float64"},
            {"name": "y", "role": "label", "type": "int64"},
        ],
    },
    "Experiment": {
        "kind": "Experiment",
        "version": 1,
        "name": "example",
        "dataset": "datasets/example@v1",
        "ledger": "ledger",
        "suite": _SUITE,
        "arms": [{"name": "baseline", "variant": _VARIANT}],
    },
    "Plan": _PLAN,
    "Policy": _POLICY,
    "Suite": _SUITE,
    "Variant": _VARIANT,
}


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        place: The file and the line of the block's fence.
        language: The first word after the fence.
        title: The second word after the fence: a kind of manifest, or a file's name; usually empty.
        text: The content.
    """

    place: str
    language: str
    title: str
    text: str

    @property
    def is_file(self) -> bool:
        """Whether the block is written as a file into the session's folder."""
        return "." in self.title


@dataclass(frozen=True)
class Readme:
    """A parsed README.

    Attributes:
        path: The file.
        blocks: Its fenced code blocks, in order.
        links: The targets of its links.
        inline: Its inline code.
        anchors: The anchors that GitHub gives its headings.
    """

    path: Path
    blocks: tuple[Block, ...]
    links: tuple[str, ...]
    inline: tuple[str, ...]
    anchors: tuple[str, ...]


def readme(path: Path) -> Readme:
    """Parses a README."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text())
    inner = [child for token in tokens for child in token.children or ()]
    blocks = []
    for token in tokens:
        if token.type == "fence":
            language, title, *_ = (*token.info.split(), "", "")
            place = f"{path.relative_to(ROOT)}:{(token.map or [0])[0] + 1}"
            blocks.append(Block(place, language, title, token.content))
    return Readme(
        path,
        tuple(blocks),
        tuple(str(child.attrs["href"]) for child in inner if child.type == "link_open"),
        tuple(child.content for child in inner if child.type == "code_inline"),
        tuple(_anchors(tokens)),
    )


def check_command(command: str) -> None:
    """Checks that an `assay` command and its options exist.

    Raises:
        AssertionError: The command or one of its options does not exist.
    """
    current: Any = typer.main.get_command(main.app)
    for word in shlex.split(command, comments=True)[1:]:
        if word in ("|", "||", "&", "&&", ">", ";"):
            return
        subcommands = getattr(current, "commands", {})
        if word in subcommands:
            current = subcommands[word]
        elif subcommands and word != "--help":
            assert current.name == "gate", f"{command}: there is no command '{word}'"
            current = subcommands["review"]  # `assay gate RUN` is short for `assay gate review RUN`
        if word.startswith("-"):
            options = {"--help", *(name for option in current.params for name in option.opts)}
            assert word.partition("=")[0] in options, f"{command}: there is no option '{word}'"


def parsed(block: Block) -> Manifest:
    """Parses the manifest of a yaml block.

    Files that it refers to are read from `manifests/examples`; one that is not there is replaced by a small variant.

    Raises:
        ManifestError: The manifest is not valid.
    """

    def read(path: str) -> str:
        file = Path(path)
        return file.read_text() if file.exists() else yaml.safe_dump(_VARIANT)

    text = block.text
    if block.title and not block.is_file:
        text = yaml.safe_dump({**_SMALLEST[block.title], **yaml.safe_load(text)})
    return parse(text, file=str(EXAMPLES / block.place.replace("/", "-")), read=read)


def run(blocks: tuple[Block, ...], folder: Path) -> None:
    """Writes the blocks that are files and runs the others, in order, in a folder.

    Raises:
        AssertionError: A command ends with a different exit code or does not print the lines shown.
    """
    with contextlib.chdir(folder), _own_modules(folder):
        for block in blocks:
            if block.is_file:
                (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.title).write_text(block.text)
            elif block.language == "python":
                exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
            elif block.language == "console":
                for command, expected in _commands(block):
                    _check_output(block, command, expected, _output(block, command))


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command with the lines that it must print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.replace("\\\n", " ").partition("\n")
        yield command, [line.strip() for line in expected.splitlines() if line.strip() not in ("", "…")]


def _output(block: Block, command: str) -> str:
    exit_code = int(code[1]) if (code := re.search(r"# exit (\d)", command)) else 0
    arguments = shlex.split(command, comments=True)
    if arguments[0] == "assay" and "|" not in arguments:
        target = arguments.pop() if arguments[-2:-1] == [">"] else None
        result = CliRunner().invoke(main.app, arguments[1 : -1 if target else None], env={"COLUMNS": "100"})
        output, code = result.output, result.exit_code
        if target:
            Path(target).write_text(result.stdout)
    else:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
        )
        output, code = result.stdout + result.stderr, result.returncode
    assert code == exit_code, f"{block.place}: {command}: exit code {code}, expected {exit_code}\n{output}"
    return output


def _check_output(block: Block, command: str, expected: list[str], output: str) -> None:
    lines = iter([line.strip() for line in output.splitlines()])
    for expected_line in expected:
        pattern = re.compile(".*".join(re.escape(part) for part in expected_line.split("…")))
        assert any(pattern.fullmatch(line) for line in lines), (
            f"{block.place}: {command}\ndoes not print this line (in the order shown):\n    {expected_line}\n"
            f"its output:\n{output}"
        )


@contextlib.contextmanager
def _own_modules(folder: Path) -> Iterator[None]:
    """Unloads the modules that were imported from the folder: another README may have modules of the same names."""
    path = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]


def _anchors(tokens: list[Token]) -> Iterator[str]:
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open":
            yield re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-")
