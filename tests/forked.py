"""Runs the command line in its own process, forked from one that has already imported Assay: fast, and killable."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["assay.cluster.cli.main", "assay.cluster.pipeline", "assay.cluster.report.record"])


class AssayProcess:
    """A call of `assay` in its own process group.

    Attributes:
        pid: The ID of the process and of its group.
    """

    def __init__(self, *arguments: str, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        """Starts it.

        Args:
            arguments: The arguments after `assay`.
            folder: The working directory; its output goes to files there.
            variables: Environment variables in addition to those of this process.
        """
        self._outputs = (folder / "stdout.txt", folder / "stderr.txt")
        environment = {**os.environ, **(variables or {})}
        self._process = _context.Process(target=_call, args=(arguments, folder, environment, self._outputs))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that killed it), or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Waits for its end and returns its exit code and output.

        Raises:
            TimeoutError: It is still running after `timeout_s` seconds.
        """
        self._process.join(timeout_s)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"assay is still running after {timeout_s:g} s")
        output, errors = (path.read_text() for path in self._outputs)
        return subprocess.CompletedProcess((), code, output, errors)


def _call(arguments: tuple[str, ...], folder: Path, environment: dict[str, str], outputs: tuple[Path, Path]) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.argv = ["assay", *arguments]
    from assay.cluster.cli.main import main

    main()
