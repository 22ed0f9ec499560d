"""The end of a log that is shown before a console begins."""

from __future__ import annotations

from agent_worker.docker_engine.followed_log import FollowedLog
from gamekeeper.domain.log.log import LogLine, LogStream

OUT, ERR = LogStream.STDOUT, LogStream.STDERR


def followed(count: int, *lines: tuple[LogStream, bytes]) -> FollowedLog:
    log = FollowedLog(None, count, lambda line: False)
    log.add(LogLine(stream, number, data) for number, (stream, data) in enumerate(lines))
    return log


def shown(log: FollowedLog, out: int, err: int) -> list[tuple[LogStream, bytes]]:
    return [(line.stream, line.data) for line in log.last_before({OUT: out, ERR: err})]


def test_the_last_lines_of_both_streams_together() -> None:
    log = followed(3, (OUT, b"1\n"), (ERR, b"2\n"), (OUT, b"3\n"), (ERR, b"4\n"), (OUT, b"5\n"))
    assert shown(log, 6, 4) == [(OUT, b"3\n"), (ERR, b"4\n"), (OUT, b"5\n")]
    assert shown(log, 2, 2) == [(OUT, b"1\n"), (ERR, b"2\n")]


def test_a_line_that_the_console_ends_has_its_beginning_though_the_other_stream_is_far_ahead() -> None:
    log = followed(2, (ERR, b"a\n"), (ERR, b"begun"), (ERR, b" long\n"), *[(OUT, b"%d\n" % n) for n in range(9)])
    assert shown(log, 18, 9) == [(ERR, b"begun"), (ERR, b" l"), (OUT, b"7\n"), (OUT, b"8\n")]
    assert shown(log, 18, 13) == [(OUT, b"7\n"), (OUT, b"8\n")]
