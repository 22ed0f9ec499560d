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


def test_a_cut_line_before_the_mark_is_ended_by_what_comes_next_or_at_once() -> None:
    """Older engines swallow the newline of a long line: it comes with the stream's next line, if there is one."""
    mark = LogLine(ERR, 2, b"mark\n")
    for behind, places, told in (
        ([], (0, 0), b"cut\n"),
        ([b"\nnext\n"], (1, 0), b"cut"),
        ([b"\nnext"], (6, 0), b"cut"),
    ):
        log = FollowedLog(mark, 9, lambda line: not line.data.endswith(b"\n"))
        log.add([LogLine(OUT, 1, b"cut"), mark, *[LogLine(OUT, 3, data) for data in behind]])
        text = shown(log, *places)
        assert text[:2] == [(OUT, told), (ERR, b"mark\n")]
        assert b"".join(data for stream, data in text if stream is OUT) == (
            b"cut\nnext\n" if places[0] > 1 else b"cut\n"
        )
