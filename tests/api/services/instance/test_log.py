"""The end of an instance's log, whatever its process writes."""

from __future__ import annotations

from pathlib import Path

from api.logs.files import LogFiles
from api.services.instance.log import LAST_BYTES, InstanceLogPart, InstanceLogService
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.log.log import LogRecord, LogStream
from gamekeeper.domain.run.console import ConsoleHistory
from tests.fixtures.api import ApiUnderTest

PIECE = 64 * 1024
KEY = InstanceKey(instance="arena", revision=1)


async def test_a_tail_is_bounded_where_no_line_ends(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    async with api.database.write() as session:
        session.add(InstanceRow(id="arena", node_id="node-1"))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id="arena", revision=1, spec={"container": {"image": "i"}}))
    files = LogFiles(tmp_path)
    pieces = [bytes([65 + seq]) * PIECE for seq in range(LAST_BYTES // PIECE + 5)]
    records = [LogRecord(seq, LogStream.STDOUT, seq, data) for seq, data in enumerate(pieces, start=1)]
    await files.append(KEY, records)
    service = InstanceLogService(api.database, files)
    assert await service.lines_before("arena", KEY, 100, None) == b"".join(pieces[5:])
    read = await service.read("arena", InstanceLogPart(tail=1))
    assert [item.record.data async for item in read] == pieces[5:]


async def test_the_last_words_of_the_revision_before_stand_before_a_console(api: ApiUnderTest, tmp_path: Path) -> None:
    """The container of an update is made while the one before still runs."""
    await api.add_node()
    async with api.database.write() as session:
        session.add(InstanceRow(id="arena", node_id="node-1"))
        await session.flush()
        for number in (1, 2):
            session.add(InstanceRevisionRow(instance_id="arena", revision=number, spec={"container": {"image": "i"}}))
    files = LogFiles(tmp_path)
    made_ns, newer = 20, KEY.model_copy(update={"revision": 2})
    for key, said in ((KEY, {10: b"up\n", 30: b"bye\n"}), (newer, {15: b"of another container\n", 40: b"up again\n"})):
        records = [LogRecord(seq, LogStream.STDOUT, at, data) for seq, (at, data) in enumerate(said.items(), start=1)]
        await files.append(key, records)
    shown = await InstanceLogService(api.database, files).lines_before("arena", newer, 100, ConsoleHistory(made_ns))
    assert shown == b"up\nof another container\nbye\n"
