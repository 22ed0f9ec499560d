"""The state folder is for one user alone: it holds keys and databases."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.stack.layout import StateDir
from gamekeeper.stack.process import ManagedProcess, ProcessSpec
from tests.hang import HANG_SECONDS


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_the_users_alone(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "deep" / "state")
    state.prepare()
    assert {mode(state.root), mode(state.run_dir), mode(state.process_logs)} == {0o700}
    state.prepare()


@pytest.mark.parametrize("rights", [0o755, 0o750, 0o701, 0o707])
def test_an_open_folder_is_refused_with_the_command_that_closes_it(tmp_path: Path, rights: int) -> None:
    state = StateDir(tmp_path / "a folder")
    state.prepare()
    state.root.chmod(rights)
    with pytest.raises(InvalidError) as caught:
        state.prepare()
    assert caught.value.hint == f"chmod 700 '{state.root}'"
    assert os.system(caught.value.hint) == 0  # as the user would
    state.prepare()


def test_files_of_a_process_are_the_users_alone(tmp_path: Path) -> None:
    made = tmp_path / "made"
    spec = ProcessSpec("writes", [sys.executable, "-c", f"open({str(made)!r}, 'w'); import os; os.mkdir('folder')"])
    process = ManagedProcess(spec, tmp_path, tmp_path)
    process.ensure()
    assert process._child is not None
    assert process._child.wait(HANG_SECONDS) == 0
    assert (mode(made), mode(tmp_path / "folder")) == (0o600, 0o700)


def test_a_file_without_a_key_gets_one_at_a_start_alone(tmp_path: Path) -> None:
    """One that is made later opens nothing: the api has not been told of it."""
    state = StateDir(tmp_path / "state")
    state.prepare()
    with pytest.raises(UnavailableError, match="can't be read"):
        state.admin_key()
    assert not state.key_file.exists()
    state.key_file.write_text("\n")
    made = state.ensure_admin_key()
    assert state.ensure_admin_key() == state.admin_key() == made
    assert (made[:3], mode(state.key_file)) == ("gk_", 0o600)
