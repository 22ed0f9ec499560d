"""A console in this terminal: input goes to the container, its output is shown. A pipe gets it byte for byte."""

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

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect

from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.cli.asked_again import Tries, is_cut_off
from gamekeeper.cli.console_text import ConsoleText
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.output import printable, warn
from gamekeeper.cli.trust import unreachable
from gamekeeper.errors import GamekeeperError, UnavailableError

DETACHED = 0
BROKEN = 1
STDIN = b"\x00"
STDOUT, STDERR = 1, 2
CLOSED_BY_STATUS = 4000  # and the HTTP status: how the server refuses
PIECE = 4096
OPEN_SECONDS = 60.0  # longer than the server waits for the node, so that its own words are heard


def open_console(
    obj: Context, path: str, command: list[str], *, tty: bool, leave: bytes = b"", raw: bool = False
) -> int:
    """The command's exit code. ``leave`` is the key that ends the console and not what it shows. ``raw`` gives a
    terminal every byte.

    Raises ApiError for a refusal, UnavailableError when the server can't be reached.
    """
    url = f"{obj.url()}/api/v1{path}".replace("http", "ws", 1) + _query(command, tty)
    try:
        with _opened(obj, url, repeats=not command) as connection, _raw(tty), _read_at(leave):
            left = threading.Event()
            threading.Thread(target=_type, args=(connection, leave, left), daemon=True).start()
            with _resizing(connection, tty):
                return _show(connection, left, raw)
    except KeyboardInterrupt:
        return DETACHED
    except ConnectionClosed as error:
        raise _refused(error) from error
    except InvalidStatus as error:
        raise _not_opened(error) from error
    except (OSError, InvalidHandshake, InvalidURI) as error:
        raise unreachable(obj.url(), error, obj.pin) from error


def _opened(obj: Context, url: str, *, repeats: bool) -> ClientConnection:
    """Asks again where the connection was closed without an answer. Where the request was sent, only one that
    ``repeats``: the server may have begun a command already."""
    headers, trust, tries = {"Authorization": f"Bearer {obj.key()}"}, _tls(obj, url), Tries()
    while True:
        try:
            return connect(
                url,
                additional_headers=headers,
                max_size=None,
                compression=None,
                open_timeout=OPEN_SECONDS,
                ssl=trust,
                server_hostname=SERVER_NAME if obj.is_pinned else None,
                proxy=None if obj.is_own or obj.is_pinned else True,
            )
        except (OSError, InvalidMessage, ConnectionClosed) as error:
            may_come_again = is_cut_off(error) and (repeats or isinstance(error, OSError))
            if not may_come_again or tries.is_last():
                raise


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


def _not_opened(error: InvalidStatus) -> GamekeeperError:
    """The refusal of somebody who answers in plain HTTP: a proxy, or the server before it opens the console."""
    answer = error.response
    if answer.status_code in (502, 503, 504):
        return UnavailableError(f"the console was not opened: HTTP {answer.status_code} {answer.reason_phrase}")
    detail = f"the console was refused: HTTP {answer.status_code} {answer.reason_phrase}"
    return ApiError(answer.status_code, {"detail": detail, "hint": "a proxy before the server has to pass WebSockets"})


def _show(connection: ClientConnection, left: threading.Event, raw: bool) -> int:
    """Shows messages until the last one, and returns its exit code."""
    texts = {STDOUT: ConsoleText(), STDERR: ConsoleText()}
    for message in connection:
        if isinstance(message, str):
            end = json.loads(message)
            if "viewers" in end:
                _tell_viewers(end["viewers"])
                continue
            if "exit_code" in end:
                return int(end["exit_code"])
            warn(str(end["failed"]))
            return BROKEN
        output = sys.stderr if message[0] == STDERR else sys.stdout
        text = None if raw or not output.isatty() else texts.get(message[0])
        output.buffer.write(text.add(message[1:]) if text else message[1:])
        output.buffer.flush()
    if left.is_set():
        return DETACHED
    raise UnavailableError("the server closed the console without its end")


def _tell_viewers(viewers: list[str]) -> None:
    if len(viewers) > 1:
        warn(f"looking on: {printable(', '.join(map(str, viewers)))}")


def _type(connection: ClientConnection, leave: bytes, left: threading.Event) -> None:
    with suppress(ConnectionClosed, OSError):
        while data := os.read(sys.stdin.fileno(), PIECE):
            typed, key, _ = data.partition(leave) if leave else (data, b"", b"")
            if typed:
                connection.send(STDIN + typed)
            if key:
                left.set()
                connection.close()
                return
        connection.send(json.dumps({"end_of_input": True}))


@contextmanager
def _read_at(key: bytes) -> Iterator[None]:
    """Has a terminal hand over its line at once when ``key`` is typed; a line ends with Enter as ever."""
    if not key or not sys.stdin.isatty():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    changed = termios.tcgetattr(sys.stdin)
    changed[6][termios.VEOL] = key
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


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
