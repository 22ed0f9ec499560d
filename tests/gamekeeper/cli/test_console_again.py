"""A console over two connections: the server closes the first one because it takes over a new certificate."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from gamekeeper.cli import console
from gamekeeper.cli.console_again import HISTORY, REMEMBERED, Shown
from gamekeeper.cli.context import Context
from gamekeeper.errors import UnavailableError

RESTART = 1012


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last + 1))


def shown_of(before: bytes, *after: bytes) -> bytes:
    """All that a stream shows."""
    shown = Shown()
    told = shown.add(before)
    shown.begin_again()
    return told + b"".join(shown.add(piece) for piece in after)


def test_no_line_is_lost_and_none_comes_twice() -> None:
    history = lines(1, 120)
    for cut in (0, 1, 7, 500, len(history)):
        assert shown_of(lines(21, 100), history[:cut], history[cut:] + lines(121, 130)) == lines(21, 130)
    assert shown_of(lines(1, 100), lines(1, 100), lines(101, 101)) == lines(1, 101), "nothing was written meanwhile"
    assert shown_of(lines(1, 5000), lines(4000, 5001)) == lines(1, 5001), "all of it need not be known"
    assert shown_of(b"", lines(1, 3)) == lines(1, 3)


def test_a_line_that_was_not_ended_goes_on() -> None:
    assert shown_of(b"a\nb\nload", b"a\nb\n", b"loading\n") == b"a\nb\nloading\n"
    assert shown_of(b"load", b"loading\n") == b"loading\n"
    assert shown_of(b"a\nload", b"a\n", b"ing\n") == b"a\nloading\n", "the log does not have its beginning yet"


def test_what_is_not_found_is_shown_as_a_whole() -> None:
    shown = Shown()
    shown.add(lines(1, 3))
    shown.begin_again()
    assert (shown.add(lines(900, 902)), shown.is_seeking) == (b"", True)
    assert (shown.give_up(), shown.is_seeking) == (lines(900, 902), False)
    assert shown.add(lines(903, 903)) == lines(903, 903)
    assert len(shown._last) < REMEMBERED


@contextmanager
def serving(handle: Callable[[ServerConnection], None]) -> Iterator[Context]:
    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        yield Context(f"http://127.0.0.1:{port}", "key", None)
        server.shutdown()
        thread.join()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The end of a pipe from which keys come."""
    reading, typing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(typing, "wb", buffering=0) as found:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield found


def test_a_console_is_attached_again_and_takes_what_is_typed(
    keys: Any, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    asked: list[str] = []
    typed: list[bytes] = []

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        if len(asked) == 1:
            connection.send(b"\x01" + lines(1, 5))
            connection.close(RESTART, "the server takes over a new certificate; open it again")
            return
        connection.send(b"\x01" + lines(1, 7))
        keys.write(b"say hello\n")
        typed.append(bytes(connection.recv()))  # type: ignore[arg-type]
        connection.send(b"\x01" + lines(8, 8))
        connection.send('{"exit_code": 0}')

    with serving(handle) as context:
        assert console.open_console(context, "/instances/arena/console", [], tty=False) == 0
    path = "/api/v1/instances/arena/console"
    assert asked == [path, f"{path}?history={HISTORY}"]
    assert typed == [b"\x00say hello\n"]
    said = capsysbinary.readouterr()
    assert said.out == lines(1, 8)
    assert said.err == b"the server has a new certificate: this console was attached again\n"


def test_the_console_of_a_step_says_where_the_lines_in_between_are(
    keys: Any, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    asked: list[str] = []

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        connection.send(b"\x01" + lines(len(asked), len(asked)))
        if len(asked) == 1:
            connection.close(RESTART)
        else:
            connection.send('{"exit_code": 4}')

    with serving(handle) as context:
        assert console.open_console(context, "/runs/r/steps/a/attach", [], tty=False) == 4
    assert asked == ["/api/v1/runs/r/steps/a/attach"] * 2
    said = capsysbinary.readouterr()
    assert said.out == lines(1, 2)
    assert b"attached again; what was written in between is in its log" in said.err


def test_a_command_is_not_run_twice(keys: Any) -> None:
    asked: list[int] = []

    def handle(connection: ServerConnection) -> None:
        asked.append(1)
        connection.close(RESTART, "the server takes over a new certificate; open it again")

    with serving(handle) as context, pytest.raises(UnavailableError, match="takes over a new certificate"):
        console.open_console(context, "/instances/arena/exec", ["true"], tty=False)
    assert asked == [1]
