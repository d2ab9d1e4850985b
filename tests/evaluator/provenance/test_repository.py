import os
import subprocess
from pathlib import Path

import pytest

from assay.evaluator.provenance import repository as module
from assay.evaluator.provenance.repository import RepositoryState, capture


def _git(folder: Path, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    (folder / "inner").mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch=trunk")
    (folder / "kept.py").write_text("x = 1\n")
    (folder / ".gitignore").write_text("ignored/\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message=first")
    return folder


def test_a_clean_copy_has_a_commit_and_no_difference(repository):
    found = capture(repository)
    assert found == RepositoryState(
        commit=_git(repository, "rev-parse", "HEAD"), branch="trunk", is_dirty=False, diff_digest=None
    )


def test_the_whole_repository_is_seen_from_any_folder_of_it(repository):
    (repository / "new.py").write_text("y = 1\n")
    assert capture(repository / "inner") == capture(repository)
    assert capture(repository / "inner").is_dirty


def test_every_kind_of_change_has_a_digest_of_its_own(repository):
    def changed() -> str | None:
        found = capture(repository)
        assert found.is_dirty
        return found.diff_digest

    digests = []
    (repository / "kept.py").write_text("x = 2\n")
    digests.append(changed())
    _git(repository, "add", ".")
    assert changed() == digests[-1]  # staged or not, the files are the same
    (repository / "new.py").write_text("y = 1\n")
    digests.append(changed())
    (repository / "new.py").write_text("y = 2\n")
    digests.append(changed())
    (repository / "new.py").rename(repository / "newer.py")
    digests.append(changed())
    (repository / "link.py").symlink_to("newer.py")
    digests.append(changed())
    (repository / "a name\nin two lines.py").write_text("z = 1\n")
    digests.append(changed())
    assert len(set(digests)) == len(digests)
    assert changed() == digests[-1]


def test_a_file_with_another_time_and_the_same_content_is_no_change(repository):
    os.utime(repository / "kept.py", (1, 1))
    assert not capture(repository).is_dirty


def test_ignored_files_are_no_change(repository):
    (repository / "ignored").mkdir()
    (repository / "ignored" / "large.bin").write_bytes(b"x" * 100)
    assert not capture(repository).is_dirty


def test_a_users_settings_do_not_show_in_the_digest(repository):
    (repository / "kept.py").write_text("x = 3\n")
    before = capture(repository)
    for setting, value in (("color.ui", "always"), ("diff.noprefix", "true"), ("diff.context", "0")):
        _git(repository, "config", setting, value)
    assert capture(repository) == before


def test_the_repository_is_left_untouched(repository):
    (repository / "kept.py").write_text("x = 3\n")
    (repository / "new.py").write_text("y = 1\n")
    os.utime(repository / ".gitignore", (1, 1))  # makes the index stale, so that git would like to refresh it
    index = (repository / ".git" / "index").read_bytes()
    objects = sorted((repository / ".git" / "objects").rglob("*"))
    capture(repository)
    assert (repository / ".git" / "index").read_bytes() == index
    assert sorted((repository / ".git" / "objects").rglob("*")) == objects


def test_a_hooks_variables_do_not_lead_elsewhere(repository, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert capture(repository).branch == "trunk"


def test_a_detached_state_has_no_branch(repository):
    _git(repository, "checkout", "--quiet", "--detach")
    found = capture(repository)
    assert found.branch is None
    assert found.commit


@pytest.mark.parametrize("case", ["no repository", "no commit", "no git", "no folder"])
def test_where_git_cannot_say_the_reason_stands_there(case, tmp_path, repository, monkeypatch):
    folder = repository
    if case == "no repository":
        folder = tmp_path
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    elif case == "no commit":
        folder = tmp_path / "empty"
        folder.mkdir()
        _git(folder, "init", "--quiet")
    elif case == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        folder = tmp_path / "absent"
    found = capture(folder)
    assert found.problem
    assert (found.commit, found.branch, found.is_dirty, found.diff_digest) == (None, None, None, None)


def test_a_git_that_hangs_is_given_up_on(repository, tmp_path, monkeypatch):
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(slow), prepend=os.pathsep)
    found = capture(repository, timeout_s=0.5)
    assert found.commit is None
    assert "within 0.5 s" in found.problem


def test_a_new_file_that_takes_too_long_leaves_the_rest_known(repository, monkeypatch):
    (repository / "large.bin").write_bytes(b"x" * 10)
    monkeypatch.setattr(module, "_PIECE_BYTES", 1)
    passed = iter([0.0] * 9 + [1e9] * 100)  # git has answered its questions by then
    monkeypatch.setattr(module.time, "monotonic", lambda: next(passed))
    found = capture(repository, timeout_s=100)
    assert found.is_dirty
    assert found.commit
    assert found.diff_digest is None
    assert "within 100 s" in found.problem
