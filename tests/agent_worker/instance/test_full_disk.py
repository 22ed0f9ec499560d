"""The keeper's disk is full: what is wished to run runs, and what is told is not taken for out of date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

import pytest

from agent_worker.instance.journal import KeeperJournal
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import UnavailableError
from tests.agent_worker.instance.node import KeptNode


@contextmanager
def refused() -> Iterator[Connection]:
    raise UnavailableError("the disk is full")
    yield


def test_numbers_rise_from_agent_to_agent_whatever_the_disk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = []
    for is_full in (False, True, False):
        with monkeypatch.context() as patch:
            journal = KeeperJournal(tmp_path / "instances.db")
            if is_full:
                patch.setattr(journal._store, "transaction", refused)
            numbers += [journal.next_seq() for _ in range(3)]
            journal.close()
    assert numbers == sorted(set(numbers))


async def test_a_crash_is_mended_on_a_full_disk(node: KeptNode, monkeypatch: pytest.MonkeyPatch) -> None:
    first = (await node.order()).status
    assert node._journal is not None
    monkeypatch.setattr(node._journal._store, "transaction", refused)
    node._journal._taken = 0
    await node.engine.signal((await node.found()).id, "SIGKILL")
    again = await node.until(lambda status: status.state is InstanceState.READY and status.crash_count == 1)
    assert again.seq > first.seq
