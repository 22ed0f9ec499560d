"""The agent's memory through a kill."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent_worker import journal as journal_module
from agent_worker.journal import SqliteJournal
from gamekeeper.errors import UnavailableError
from gamekeeper.temporal.signed_inputs import SIGNED_SECONDS
from tests.factories import make_key


def test_a_new_process_takes_the_tokens_of_a_killed_one(tmp_path: Path) -> None:
    key = make_key()
    first = SqliteJournal(tmp_path / "journal.db")
    begun = first.begin(key, b"token")
    first.record_container(key, "abc")
    second = SqliteJournal(tmp_path / "journal.db")
    assert second.take_tokens() == [b"token"]
    assert second.take_tokens() == []
    again = second.begin(key, b"token 2")
    assert (again.at, again.container_id) == (begun.at, "abc")
    first.close()
    second.close()


def test_a_step_costs_the_same_whatever_the_journal_remembers(tmp_path: Path) -> None:
    """Over steps lie in it for a month. What each step does looks through none of its tables."""
    journal, key, statements = SqliteJournal(tmp_path / "journal.db"), make_key(), list[str]()
    journal._store._connection.set_trace_callback(statements.append)
    journal.begin(key, b"token")
    journal.record_container(key, "abc")
    journal.record_fault(key, "port taken")
    journal.returned(b"token")
    journal.keep_answer(b"token", "{}")
    journal.answered(b"token")
    journal.forget(key)
    journal._store._connection.set_trace_callback(None)
    assert len(statements) > 10
    for statement in statements:
        plan = journal._store._connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        assert [row[3] for row in plan if row[3].startswith("SCAN")] == [], statement
    journal.close()


def test_an_answered_token_is_kept_in_case_the_answer_was_lost(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.begin(make_key(), b"answered")
    journal.returned(b"answered")
    assert journal.take_tokens() == [b"answered"]
    journal.close()


def test_a_result_that_could_not_be_told_is_kept_until_it_is(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal.db")
    first.begin(make_key(), b"told")
    first.begin(make_key(), b"untold")
    first.keep_answer(b"untold", "{}")
    second = SqliteJournal(tmp_path / "journal.db")
    assert second.kept_answers() == {b"untold": "{}"}
    assert second.take_tokens() == [b"told"]
    assert second.kept_answers() == {b"untold": "{}"}
    second.answered(b"untold")
    assert second.kept_answers() == {}
    first.close()
    second.close()


def test_a_fault_of_the_engine_is_counted_and_its_container_is_no_loss(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    key = make_key()
    journal.begin(key, b"a")
    journal.record_container(key, "abc")
    assert journal.record_fault(key, "port taken") == 1
    journal.record_container(key, "def")
    assert journal.record_fault(key, "no space") == 2
    begun = journal.begin(key, b"b")
    assert (begun.container_id, begun.fault, begun.again) == ("", "no space", True)
    journal.forget(key)
    journal.begin(key, b"c")
    assert journal.record_fault(key, "port taken") == 1
    journal.close()


def test_forgetting_ends_the_memory_of_a_try(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    key = make_key()
    journal.begin(key, b"a")
    journal.record_container(key, "abc")
    journal.forget(key)
    assert journal.begin(key, b"b").container_id == ""
    journal.close()


def test_a_try_that_had_a_container_and_is_forgotten_is_known_to_be_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to the next process, for as long as somebody could repeat its delivery."""
    journal, started, never = SqliteJournal(tmp_path / "journal.db"), make_key(), make_key()
    for key in (started, never):
        assert not journal.begin(key, b"a").is_over
    journal.record_container(started, "abc")
    journal.forget(started)
    journal.forget(never)
    journal.close()
    journal = SqliteJournal(tmp_path / "journal.db")
    assert journal.begin(started, b"b").is_over
    assert not journal.begin(never, b"b").is_over
    journal.forget(started)
    assert journal.begin(started, b"c").is_over
    journal.forget(started)
    monkeypatch.setattr(journal_module, "SPENT_SECONDS", -1.0)
    monkeypatch.setattr(time, "time", lambda at=time.time(): at + SIGNED_SECONDS + 2 * 86_400)
    journal.forget(never)
    assert not journal.begin(started, b"d").is_over
    journal.close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, to be filled by ``fill``."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "rubbish").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_spoils_nothing_that_is_known(full_disk: Path) -> None:
    key, tokens = make_key(), [f"token {number}".encode() * 500 for number in range(200)]
    journal = SqliteJournal(full_disk / "journal.db")
    known = journal.begin(key, b"first")
    journal.record_container(key, "abc")
    fill(full_disk)
    for token in tokens:  # until not even the write-ahead log has room
        again = journal.begin(key, token)
    assert (again.at, again.container_id, again.again) == (known.at, "abc", True)
    with pytest.raises(UnavailableError, match="free space"):
        journal.begin(make_key(step="new"), tokens[0] * 100)
    with pytest.raises(UnavailableError, match="free space"):
        journal.keep_answer(b"first", "x" * 100_000)
    assert b"first" in journal.take_tokens()
    (full_disk / "rubbish").unlink()
    assert journal.begin(make_key(step="new"), b"now").again is False
    journal.close()


def test_a_journal_that_finds_no_room_at_its_start_says_so(full_disk: Path) -> None:
    fill(full_disk)
    with pytest.raises(UnavailableError, match="free space"):
        SqliteJournal(full_disk / "state" / "journal.db")
    (full_disk / "rubbish").unlink()
    SqliteJournal(full_disk / "state" / "journal.db").close()
