"""Tables for people and for pipes: a row is one line, and its first words are whole."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from gamekeeper.cli.context import ApiError
from gamekeeper.cli.log_lines import LinePrinter, LogView
from gamekeeper.cli.output import print_error, print_fields, print_table
from gamekeeper.domain.language.source import parse_text
from gamekeeper.errors import InvalidError, SpecError


def test_a_long_message_squeezes_no_other_column(capsys: pytest.CaptureFixture[str]) -> None:
    message = "no room " * 60
    print_table(("RUN", "STATE", ""), [("6b0b067adb268570", "failed", message), ("6b0b067adb268571", "running", None)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "RUN               STATE",
        f"6b0b067adb268570  failed   {message.strip()}",
        "6b0b067adb268571  running",
    ]


def test_a_table_without_rows_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NODE", "STATUS"), [])
    assert capsys.readouterr().out == "NODE  STATUS\n"


def test_words_of_others_are_text_and_wide_letters_count_as_they_show(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "ABOUT"), [("[bold]x", "a\nb"), ("竜", "dragon")])
    assert capsys.readouterr().out.splitlines() == ["NAME     ABOUT", "[bold]x  a b", "竜       dragon"]


def test_fields_stand_below_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"id": "vm", "addresses": ["10.0.0.1", "fd00::2"], "note": None, "size": 3})
    assert capsys.readouterr().out.splitlines() == [
        "id         vm",
        "addresses  10.0.0.1, fd00::2",
        "note",
        "size       3",
    ]


def test_pieces_of_a_line_are_one_line_with_its_name(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    printer = LinePrinter(LogView(), "a | ")
    for text in ("L" * 16384, "LL", "\nnext\n", "10%\r", "50%\n"):  # the engine swallows the end of a line in parts
        printer.add({"stream": "stdout", "at": "2026-11-01T00:00:00+00:00", "text": text})
    printer.add({"stream": "stderr", "at": "2026-11-01T00:00:00+00:00", "text": "\ufffd", "base64": "/w=="})
    printer.end()
    assert capfdbinary.readouterr().out == b"a | " + b"L" * 16386 + b"\na | next\na | 10%\r50%\na | \xff\n"


@pytest.mark.parametrize("prefix", ["", "a | "])
@pytest.mark.parametrize(("raw", "shown"), [(False, b"^[]0;x^G"), (True, b"\x1b]0;x\x07")])
def test_a_terminal_is_shown_what_would_change_it(
    monkeypatch: pytest.MonkeyPatch, prefix: str, raw: bool, shown: bytes
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        printer = LinePrinter(LogView(raw=raw), prefix)
        printer.add({"stream": "stdout", "at": "2026-11-01T00:00:00+00:00", "text": "\x1b]0;x\x07\n"})
        printer.end()
        written = os.read(ours, 1000)
    os.close(ours)
    assert shown in written
    assert (b"\x07" in written) is raw


@pytest.mark.parametrize("prefix", ["", "a | "])
def test_raw_bytes_are_those_that_were_written(capfdbinary: pytest.CaptureFixture[bytes], prefix: str) -> None:
    printer = LinePrinter(LogView(raw=True), prefix)
    printer.add({"stream": "stdout", "at": "2026-11-01T00:00:00+00:00", "text": "\ufffd", "base64": "G10wO3gHCv8="})
    printer.end()
    written = capfdbinary.readouterr().out
    assert written.startswith(prefix.encode() + b"\x1b]0;x\x07\n")
    assert b"\xff" in written


def test_words_of_an_error_change_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InvalidError("no \x1b]0;title\x07 \x9b2J", hint="\x1b[2J\nnext"))
    told = capsys.readouterr().err
    assert not set(told) & set("\x07\x9b")
    assert "\x1b]" not in told
    assert "\x1b[2J" not in told
    assert "\nnext" in told


def test_what_moves_a_cursor_moves_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", ""), [("a\x1b[2Jb", ":cat: [red]x")])
    assert capsys.readouterr().out.splitlines()[1] == "a\ufffd[2Jb  :cat: [red]x"


def test_on_a_terminal_the_message_gives_way_and_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setenv("COLUMNS", "48")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("sys.stdout", terminal)
        print_table(("RUN", "STATE", ""), [("6b0b067adb268570", "waiting_node", "竜 and no room for this " * 9)])
        terminal.flush()
        text = b""
        while text.count(b"\n") < 2:  # a terminal gives what it has so far
            text += os.read(ours, 4096)
    os.close(ours)
    assert text.decode().splitlines() == ["RUN               STATE", "6b0b067adb268570  waiting_node  竜 and no room…"]


def test_each_problem_is_told_once_with_the_place_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="first: the instance is empty") as refused:
        parse_text("", what="instance")
    print_error(refused.value)
    problem = {"path": "body.name", "message": "is too long", "line": 0, "hint": ""}
    print_error(ApiError(422, {"detail": "body.name: is too long", "problems": [problem]}))
    assert capsys.readouterr().err.splitlines() == [
        "error: 1 problem in the instance",
        "  line 1: the instance is empty; see docs/instances.md for a first one",
        "error: body.name: is too long",
    ]


def test_a_warning_stands_behind_what_was_said_before_it_where_both_go_into_one_pipe() -> None:
    said = "from gamekeeper.cli.output import warn; print('first'); warn('second'); print('third')"
    done = subprocess.run(
        [sys.executable, "-c", said], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    assert done.stdout.splitlines() == ["first", "second", "third"]
