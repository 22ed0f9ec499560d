"""The chunks of the spool in its file: numbered records, each one a message to send. Callers hold a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from agent_worker.logs.known_lines import Item
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import LinePacker, unpack
from gamekeeper.rpc.convert import key_to_pb, record_from_pb, record_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

CHUNK_BYTES = 256 * 1024


def keep_items(db: sqlite3.Connection, key: ContainerKey, seq: int, items: Sequence[Item]) -> tuple[int, int]:
    """Keeps the items with the numbers from ``seq`` on. The next number, and the size of what is kept."""
    added = 0
    for record in pack(seq, items):
        batch = batch_of(key, record)
        db.execute(
            "INSERT INTO chunks (key, first_seq, last_seq, batch) VALUES (?, ?, ?, ?)",
            (str(key), seq, record.seq, batch),
        )
        added += len(batch)
        seq = record.seq + 1
    return seq, added


def fill_hole(db: sqlite3.Connection, key: ContainerKey, server_seq: int, reason: str) -> int:
    """Keeps a gap between ``server_seq`` and the oldest chunk, where there is one; its size."""
    row = db.execute("SELECT min(first_seq) FROM chunks WHERE key = ?", (str(key),)).fetchone()
    if row[0] is None or row[0] <= server_seq + 1:
        return 0
    last = row[0] - 1
    batch = batch_of(key, LogRecord(last, LogStream.GAP, 0, LogGap(server_seq + 1, last, reason).encode()))
    first_id = db.execute("SELECT min(id) FROM chunks").fetchone()[0]
    db.execute(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
        (first_id - 1, str(key), server_seq + 1, last, batch),
    )
    return len(batch)


def delete(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> int:
    """The size of the deleted chunks."""
    size = db.execute(f"SELECT coalesce(sum(length(batch)), 0) FROM chunks WHERE {where}", values).fetchone()[0]
    db.execute(f"DELETE FROM chunks WHERE {where}", values)
    return int(size)


def pack(seq: int, items: Sequence[Item]) -> Iterator[LogRecord]:
    """Numbers the items from ``seq`` on; the lines among them go together, up to ``CHUNK_BYTES``."""
    lines = LinePacker()
    for stream, ts_ns, data in items:
        if stream in (LogStream.GAP, LogStream.END):
            if lines.size:
                yield lines.record(seq - 1)
                lines = LinePacker()
            yield LogRecord(
                seq, stream, ts_ns, LogGap(seq, seq, data.decode()).encode() if stream is LogStream.GAP else data
            )
        else:
            lines.add(stream, ts_ns, data)
            if lines.size >= CHUNK_BYTES:
                yield lines.record(seq)
                lines = LinePacker()
        seq += 1
    if lines.size:
        yield lines.record(seq - 1)


def items_of(batch: bytes) -> list[Item]:
    """The items that a chunk was made of."""
    return [
        (
            line.stream,
            line.ts_ns,
            LogGap.decode(line.data).reason.encode() if line.stream is LogStream.GAP else line.data,
        )
        for record in records_of(batch)
        for line in unpack(record)
    ]


def records_of(batch: bytes) -> list[LogRecord]:
    return [record_from_pb(record) for record in pb.LogBatch.FromString(batch).records]


def batch_of(key: ContainerKey, record: LogRecord) -> bytes:
    return pb.LogBatch(key=key_to_pb(key), records=[record_to_pb(record)]).SerializeToString()
