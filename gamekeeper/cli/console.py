"""A console in this terminal: input goes to the container, its output is shown. A pipe gets it byte for byte."""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from urllib.parse import urlencode

from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from websockets.sync.client import ClientConnection, connect

from gamekeeper.backoff import Backoff
from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.cli.asked_again import Tries, is_cut_off
from gamekeeper.cli.console_again import HISTORY, Line, Shown
from gamekeeper.cli.console_text import ConsoleText
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.output import printable, warn
from gamekeeper.cli.trust import unreachable
from gamekeeper.errors import GamekeeperError, UnavailableError

DETACHED = 0
BROKEN = 1
STDIN = b"\x00"
STDOUT, STDERR = 1, 2
CLOSED_BY_RESTART = 1012  # the server takes over a new certificate
AGAIN_SECONDS, SEEK_SECONDS = 60.0, 2.0
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
    screen = Screen(raw)
    try:
        with ExitStack() as connections, _raw(tty), _read_at(leave):
            line, left = Line(connections.enter_context(_opened(obj, url, repeats=not command))), threading.Event()
            connections.callback(line.end)
            threading.Thread(target=_type, args=(line, leave, left), daemon=True).start()
            with _resizing(line.connection, tty):
                while (code := _show_to_its_end(line.connection, screen, left, repeats=not command)) is None:
                    line.replace(connections.enter_context(_again(obj, url, screen)))
                return code
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


class Screen:
    """The output of a console; ``raw`` gives a terminal every byte."""

    def __init__(self, raw: bool) -> None:
        self._raw = raw
        self._texts = {STDOUT: ConsoleText(), STDERR: ConsoleText()}
        self._shown = {STDOUT: Shown(), STDERR: Shown()}

    @property
    def is_seeking(self) -> bool:
        return any(shown.is_seeking for shown in self._shown.values())

    def begin_again(self) -> None:
        for shown in self._shown.values():
            shown.begin_again()

    def add(self, channel: int, data: bytes) -> None:
        self._write(channel, self._shown[channel].add(data) if channel in self._shown else data)

    def give_up(self) -> None:
        """Shows what can't be told from what was shown before."""
        for channel, shown in self._shown.items():
            if shown.is_seeking and (held := shown.give_up()):
                warn("some of these lines may come twice, or some before them may be missing; the log has all")
                self._write(channel, held)

    def _write(self, channel: int, data: bytes) -> None:
        output = sys.stderr if channel == STDERR else sys.stdout
        text = None if self._raw or not output.isatty() else self._texts.get(channel)
        output.buffer.write(text.add(data) if text else data)
        output.buffer.flush()


def _show_to_its_end(
    connection: ClientConnection, screen: Screen, left: threading.Event, *, repeats: bool
) -> int | None:
    """The exit code; None where the server closed this connection to take over a certificate, and the console is one
    that ``repeats``. A command has ended with its connection."""
    try:
        return _show(connection, screen, left)
    except ConnectionClosed as error:
        if left.is_set():
            return DETACHED
        if not repeats or error.rcvd is None or error.rcvd.code != CLOSED_BY_RESTART:
            raise
    return None


def _again(obj: Context, url: str, screen: Screen) -> ClientConnection:
    """Another connection of the same console, and a word on it."""
    has_history = url.endswith("/console")
    connection = _opened_again(obj, f"{url}?history={HISTORY}" if has_history else url)
    if has_history:
        screen.begin_again()
    between = "" if has_history else "; what was written in between is in its log"
    warn(f"the server has a new certificate: this console was attached again{between}")
    return connection


def _opened_again(obj: Context, url: str) -> ClientConnection:
    """Asks until the server is there, for a minute."""
    deadline, backoff = time.monotonic() + AGAIN_SECONDS, Backoff(initial=0.2, maximum=3)
    while True:
        try:
            return _opened(obj, url, repeats=True)
        except (OSError, InvalidHandshake) as error:
            is_away = not isinstance(error, InvalidStatus) or error.response.status_code in (502, 503, 504)
            if not is_away or time.monotonic() > deadline:
                raise
        time.sleep(backoff.next_delay())


def _show(connection: ClientConnection, screen: Screen, left: threading.Event) -> int:
    """Shows messages until the last one, and returns its exit code."""
    while True:
        try:
            message = connection.recv(timeout=SEEK_SECONDS if screen.is_seeking else None)
        except TimeoutError:
            screen.give_up()
            continue
        except ConnectionClosedOK:
            break
        if not isinstance(message, str):
            screen.add(message[0], message[1:])
            continue
        end = json.loads(message)
        if "viewers" in end:
            _tell_viewers(end["viewers"])
            continue
        screen.give_up()
        if "exit_code" in end:
            return int(end["exit_code"])
        warn(str(end["failed"]))
        return BROKEN
    screen.give_up()
    if left.is_set():
        return DETACHED
    raise UnavailableError("the server closed the console without its end")


def _tell_viewers(viewers: list[str]) -> None:
    if len(viewers) > 1:
        warn(f"looking on: {printable(', '.join(map(str, viewers)))}")


def _type(line: Line, leave: bytes, left: threading.Event) -> None:
    with suppress(ConnectionClosed, OSError):
        while data := os.read(sys.stdin.fileno(), PIECE):
            typed, key, _ = data.partition(leave) if leave else (data, b"", b"")
            if typed:
                line.send(STDIN + typed)
            if key:
                left.set()
                line.leave()
                return
        line.send(json.dumps({"end_of_input": True}))


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
