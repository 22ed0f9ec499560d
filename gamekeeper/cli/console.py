"""A console in this terminal: input goes to the container, its output is shown, byte for byte."""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.output import warn
from gamekeeper.cli.trust import unreachable
from gamekeeper.errors import GamekeeperError, UnavailableError

DETACHED = 0
BROKEN = 1
STDIN = b"\x00"
STDERR = 2
CLOSED_BY_STATUS = 4000  # and the HTTP status: how the server refuses
PIECE = 4096
OPEN_SECONDS = 60.0  # longer than the server waits for the node, so that its own words are heard


def open_console(obj: Context, path: str, command: list[str], *, tty: bool) -> int:
    """The command's exit code. Raises ApiError for a refusal, UnavailableError when the server can't be reached."""
    url = f"{obj.url()}/api/v1{path}".replace("http", "ws", 1) + _query(command, tty)
    headers = {"Authorization": f"Bearer {obj.key()}"}
    try:
        opened = connect(
            url,
            additional_headers=headers,
            max_size=None,
            compression=None,
            open_timeout=OPEN_SECONDS,
            ssl=_tls(obj, url),
            server_hostname=SERVER_NAME if obj.is_pinned else None,
        )
        with opened as connection, _raw(tty):
            threading.Thread(target=_type, args=(connection,), daemon=True).start()
            with _resizing(connection, tty):
                return _show(connection)
    except KeyboardInterrupt:
        return DETACHED
    except ConnectionClosed as error:
        raise _refused(error) from error
    except (OSError, InvalidHandshake, InvalidURI) as error:
        raise unreachable(obj.url(), error, obj.pin) from error


def _tls(obj: Context, url: str) -> ssl.SSLContext | None:
    found = obj.trust()
    if not url.startswith("wss"):
        return None
    return ssl.create_default_context() if found is True else found or None


def _query(command: list[str], tty: bool) -> str:
    if not command:
        return ""
    columns, rows = _size() if tty else (0, 0)
    size = [("tty", "true"), ("columns", str(columns)), ("rows", str(rows))] if tty else []
    return "?" + urlencode([("command", part) for part in command] + size)


def _size() -> tuple[int, int]:
    """Columns and rows of the terminal itself; the environment's COLUMNS is no measure of it."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return columns or 80, rows or 24


def _refused(error: ConnectionClosed) -> GamekeeperError:
    received = error.rcvd
    if received is not None and received.code > CLOSED_BY_STATUS:
        return ApiError(received.code - CLOSED_BY_STATUS, {"detail": received.reason})
    return UnavailableError(
        f"the connection broke: {error}", hint="the container goes on; look with `gamekeeper runs show`"
    )


def _show(connection: ClientConnection) -> int:
    """Shows messages until the last one, and returns its exit code."""
    for message in connection:
        if isinstance(message, str):
            end = json.loads(message)
            if "exit_code" in end:
                return int(end["exit_code"])
            warn(str(end["failed"]))
            return BROKEN
        output = sys.stderr.buffer if message[0] == STDERR else sys.stdout.buffer
        output.write(message[1:])
        output.flush()
    raise UnavailableError("the server closed the console without its end")


def _type(connection: ClientConnection) -> None:
    with suppress(ConnectionClosed, OSError):
        while data := os.read(sys.stdin.fileno(), PIECE):
            connection.send(STDIN + data)
        connection.send(json.dumps({"end_of_input": True}))


@contextmanager
def _raw(tty: bool) -> Iterator[None]:
    """Every key goes to the container, Ctrl-C too."""
    if not tty:
        yield
        return
    import termios
    import tty as terminal

    before = termios.tcgetattr(sys.stdin)
    terminal.setraw(sys.stdin, termios.TCSADRAIN)  # its default throws away what was typed ahead
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _resizing(connection: ClientConnection, tty: bool) -> Iterator[None]:
    def resized(_number: int, _frame: FrameType | None) -> None:
        columns, rows = _size()
        message = json.dumps({"resize": {"columns": columns, "rows": rows}})
        threading.Thread(target=_send, args=(connection, message), daemon=True).start()  # it may hold the lock now

    before = signal.signal(signal.SIGWINCH, resized) if tty else None
    try:
        yield
    finally:
        if tty:
            signal.signal(signal.SIGWINCH, before)


def _send(connection: ClientConnection, message: str) -> None:
    with suppress(ConnectionClosed, OSError):
        connection.send(message)
