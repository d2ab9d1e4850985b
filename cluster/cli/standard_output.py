"""Standard output: while a verb works, nothing reaches it but the verb's answer.

Everything else that is printed (by user code, in Python or in C, by libraries, by Ray about its workers) goes to standard
error: `reserved` keeps standard output for answers and lets file descriptor 1 point to standard error. A verb prints its
answer with `say` or on a `console`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from rich.console import Console

_IN, _OUT, _ERR = 0, 1, 2
_answers: list[TextIO] = []
"""The last one is where the verb at work prints its answer."""


@contextmanager
def reserved() -> Iterator[None]:
    """Reserves this process's standard output for answers; afterwards, until the process ends, nothing can be printed on it.

    Changes nothing if `sys.stdout` was replaced, as in a test.

    Raises:
        OSError: The answer cannot be written: the disk is full, or the reader of a pipe has gone.
    """
    if sys.stdout is not sys.__stdout__:
        yield
        return
    for descriptor in (_IN, _OUT, _ERR):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by the caller: the next file that is opened, such as a unit, would get its number
            os.open(os.devnull, os.O_RDWR)
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    sys.stderr = sys.stderr or os.fdopen(_ERR, "w", errors="backslashreplace", closefd=False)
    answers = os.fdopen(os.dup(_OUT), "w", encoding=encoding, errors="backslashreplace")
    os.dup2(_ERR, _OUT)
    sys.stdout = answers
    try:
        yield
    finally:
        sys.stdout = sys.stderr
        answers.close()


class Verb(TyperCommand):
    """A command. While its function works, `sys.stdout` is standard error; before, help is printed on standard output."""

    def invoke(self, ctx: Any) -> Any:
        """Calls the command's function.

        Raises:
            AssayError: Code of the user has called `sys.exit`, whose code would say that the command has succeeded.
        """
        _answers.append(sys.stdout)
        try:
            with redirect_stdout(sys.stderr):
                return super().invoke(ctx)
        except SystemExit as end:
            from assay.manifests.errors import AssayError

            raise AssayError(
                f"sys.exit({end.code!r}) was called by code of the experiment; published units are kept: remove the call, "
                "then run the same command again"
            ) from end
        finally:
            _answers.pop()


class Verbs(typer.Typer):
    """A group of commands, each of which is a `Verb`."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Adds a command."""
        return super().command(name, cls=Verb, **options)


def say(text: str, *, ends_line: bool = True) -> None:
    """Prints a part of the answer, with characters escaped that would control the terminal."""
    from assay.manifests.plain_text import escaped

    typer.echo(escaped(text), file=_answers[-1], nl=ends_line)


def remark(text: str) -> None:
    """Prints something that is not the answer, such as a warning, on standard error; escaped like the answer."""
    from assay.manifests.plain_text import escaped

    typer.echo(escaped(text), err=True)


def console() -> "Console":
    """A console for the answer. Characters in its texts that would control the terminal are escaped."""
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
    from rich.segment import Segment

    from assay.manifests.plain_text import escaped

    class Escaped:
        def __init__(self, renderable: ConsoleRenderable) -> None:
            self._renderable = renderable

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
            for segment in console.render(self._renderable, options):
                yield segment if segment.control else Segment(escaped(segment.text), segment.style)

    class Escaping(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Escaped(each) for each in renderables]

    shown = Console(file=_answers[-1])
    shown.push_render_hook(Escaping())
    return shown
