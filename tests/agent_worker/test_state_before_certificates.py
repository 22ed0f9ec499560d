"""The state folder of an agent that knew no certificates, as that version wrote it: nothing of it is lost.

``docs/upgrading.md`` has the steps; ``tests/chaos/network/test_membership.py`` does them on a running stack.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent_worker.__main__ import _become_member
from agent_worker.identity import load_identity
from agent_worker.journal import SqliteJournal
from agent_worker.logs.spool import Spool
from agent_worker.node_link.membership import Joining, own_key
from agent_worker.node_link.servers import parse_servers
from agent_worker.settings import AgentSettings
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.log.log_pack import unpack
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.rpc.convert import record_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

RECORDED = Path(__file__).parent / "state_before_certificates"
LIVE, ENDED = (StepKey.parse(f"6b0b79bfb52aa889/{text}") for text in ("serve/2", "build/1"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "identity.json").write_text((RECORDED / "identity.json").read_text())
    for name in ("journal", "spool"):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as database:
            database.executescript((RECORDED / f"{name}.sql").read_text())
    return tmp_path


def test_the_node_has_yet_to_join(folder: Path) -> None:
    identity = load_identity(folder)
    assert identity is not None
    assert (identity.node_id, identity.node_key) == ("edge-1", "gkn_a-key-of-the-version-before")
    assert identity.credentials is None


async def test_elsewhere_it_is_told_to_get_a_token(folder: Path) -> None:
    """Its key is said to nobody: it knows no root, so any server could be the wrong one."""
    settings = AgentSettings(server="192.0.2.1", state_dir=folder)
    joining = Joining(parse_servers(settings.server), own_key(folder))
    with pytest.raises(UnauthenticatedError, match="of a version without certificates") as caught:
        await _become_member(settings, joining)
    assert "gamekeeper node enrol edge-1" in str(caught.value.hint)
    assert load_identity(folder) is not None


def test_its_containers_are_taken_up(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal.db")
    assert journal.kept_answers() == {b"another token": '{"outcome": "succeeded"}'}
    assert journal.take_tokens() == [b"task token"]
    again = journal.begin(LIVE, b"the next delivery")
    assert (again.container_id, again.again, again.is_over) == ("4f5ad4b0c1e9", True, False)
    assert journal.begin(ENDED, b"of the other").fault == "no space left on device"
    journal.forget(ENDED)
    journal.close()


def test_its_logs_are_sent(folder: Path) -> None:
    spool = Spool(folder / "spool.db")
    assert spool.open_keys() == [LIVE]
    batches = [pb.LogBatch.FromString(chunk.batch) for chunk in spool.pending(10**9)]
    records = [line for batch in batches for record in batch.records for line in unpack(record_from_pb(record))]
    assert [record.data for record in records][:6] == [b"line 1\n", b"line 2\n", b"line 3\n"] * 2
    cursor = spool.open(LIVE)
    assert cursor is not None
    assert cursor.newest_ns == 1_790_000_000_000_000_003
    spool.close()
