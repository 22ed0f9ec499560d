"""Lines of step logs on standard output, of one step or of many with their names: on a terminal safe for it, in a pipe
or a file as the bytes that they are."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gamekeeper.cli.context import Context, checked
from gamekeeper.cli.output import dim, say, warn
from gamekeeper.cli.safe_text import SafeText

MAX_LINE = 1 << 20  # what is longer is printed in pieces, so that no container fills this machine's memory
_output = threading.Lock()  # several logs are followed at once, and a line is never cut by another one


@dataclass(frozen=True)
class LogView:
    """The wanted part of a log and its form. ``since`` is a duration or a time, which the server reads."""

    try_number: int | None = None
    tail: int | None = None
    since: str = ""
    timestamps: bool = False
    as_json: bool = False
    raw: bool = False

    def query(self) -> dict[str, Any]:
        given = {"try": self.try_number, "tail": self.tail, "since": self.since or None}
        return {key: value for key, value in given.items() if value is not None}


@dataclass
class LinePrinter:
    """Prints the lines of one log. Pieces of a long line are put together, where a name or a time stands before it."""

    view: LogView
    prefix: str = ""
    _open: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _safe: dict[str, SafeText] = field(default_factory=lambda: defaultdict(SafeText))  # by stream

    def add(self, line: dict[str, Any]) -> None:
        """Takes a line, or a piece of one, as the server tells it."""
        if self.view.as_json:
            _write(json.dumps(line).encode() + b"\n")
            return
        raw = _bytes_of(line)
        if not self.prefix and not self.view.timestamps:
            _write(raw if _as_written(self.view.raw) else self._safe[line["stream"]].add(raw))
            return
        for piece in _lines_of(raw):
            at, kept = self._open.pop(line["stream"], (line["at"], b""))
            kept += piece
            if kept.endswith(b"\n") or len(kept) > MAX_LINE:
                self._print(at, kept)
            else:
                self._open[line["stream"]] = (at, kept)

    def end(self) -> None:
        """Prints what has no end of its line."""
        for text in self._safe.values():
            _write(text.add(b"", last=True))
        for at, kept in self._open.values():
            self._print(at, kept)
        self._open.clear()

    def _print(self, at: str, raw: bytes) -> None:
        moment = datetime.fromisoformat(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        before = f"{moment} {self.prefix}" if self.view.timestamps else self.prefix
        before = dim(before) if sys.stdout.isatty() else before
        raw = raw if _as_written(self.view.raw) else SafeText().add(raw, last=True)
        _write(before.encode() + raw + (b"" if raw.endswith(b"\n") else b"\n"))

    def missing(self, reason: str) -> None:
        with _output:
            warn(f"{self.prefix}lines are missing: {reason}")


def _as_written(raw: bool) -> bool:
    """A pipe or a file gets every byte: only a terminal does what they say."""
    return raw or not sys.stdout.isatty()


def _lines_of(raw: bytes) -> list[bytes]:
    """The bytes as lines, each with its newline; ``splitlines`` takes carriage returns for line ends."""
    *whole, rest = raw.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def _bytes_of(line: dict[str, Any]) -> bytes:
    return base64.b64decode(line["base64"]) if "base64" in line else str(line["text"]).encode()


def _write(raw: bytes) -> None:
    with _output:
        sys.stdout.flush()
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()


def say_between(text: str) -> None:
    """Prints a line of our own while logs are followed."""
    with _output:
        say(text)
        sys.stdout.flush()


def print_log(obj: Context, run_id: str, step: str, view: LogView, *, title: bool) -> None:
    """Prints what there is of a step's log now."""
    if view.timestamps or view.as_json:
        print_lines(obj, run_id, view, step)
        return
    if title:
        say(f"--- {step}")
        sys.stdout.flush()
    print_text(obj, f"/runs/{run_id}/steps/{step}/logs", view.query(), raw=view.raw)


def print_text(obj: Context, path: str, query: dict[str, Any], *, raw: bool) -> None:
    """Prints a log as it is stored now."""
    text = SafeText()
    with obj.client(timeout=None) as client, client.stream("GET", path, params=query) as answer:
        if answer.is_error:
            answer.read()
            checked(answer)
        for chunk in answer.iter_bytes():
            sys.stdout.buffer.write(chunk if _as_written(raw) else text.add(chunk))
        sys.stdout.buffer.write(text.add(b"", last=True))
        sys.stdout.buffer.flush()
        if answer.headers.get("Gamekeeper-Log-Complete") == "false":
            warn("lines are missing in this log")


def print_lines(obj: Context, run_id: str, view: LogView, step: str = "") -> None:
    """Prints the lines that there are now, of one step or in the order of their time of all."""
    printers: dict[str, LinePrinter] = {}
    query = view.query() | ({"step": step} if step else {})
    for line in _stored(obj, run_id, query):
        if line["step"] not in printers:
            printers[line["step"]] = LinePrinter(view, "" if step else f"{line['step']} | ")
        printer = printers[line["step"]]
        if line["stream"] != "gap" or view.as_json:
            printer.add(line)
        else:
            printer.missing(str(line.get("reason", "")))
    for printer in printers.values():
        printer.end()


def _stored(obj: Context, run_id: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with obj.client(timeout=None) as client, client.stream("GET", f"/runs/{run_id}/logs", params=query) as answer:
        if answer.is_error:
            answer.read()
            checked(answer)
        for text in answer.iter_lines():
            yield json.loads(text)
