"""The end of an instance's log, whatever its process writes."""

from __future__ import annotations

from pathlib import Path

from api.logs.files import LogFiles
from api.services.instance.log import LAST_BYTES, InstanceLogPart, InstanceLogService
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.log.log import LogRecord, LogStream
from tests.fixtures.api import ApiUnderTest

PIECE = 64 * 1024


async def test_a_tail_is_bounded_where_no_line_ends(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    async with api.database.write() as session:
        session.add(InstanceRow(id="arena", node_id="node-1"))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id="arena", revision=1, spec={"container": {"image": "i"}}))
    files = LogFiles(tmp_path)
    pieces = [bytes([65 + seq]) * PIECE for seq in range(LAST_BYTES // PIECE + 5)]
    records = [LogRecord(seq, LogStream.STDOUT, seq, data) for seq, data in enumerate(pieces, start=1)]
    await files.append(InstanceKey(instance="arena", revision=1), records)
    service = InstanceLogService(api.database, files)
    assert await service.lines_before("arena", 100, None) == b"".join(pieces[5:])
    read = await service.read("arena", InstanceLogPart(tail=1))
    assert [item.record.data async for item in read] == pieces[5:]
