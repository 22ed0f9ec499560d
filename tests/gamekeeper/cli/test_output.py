"""Tables for people and for pipes: a row is one line, and its first words are whole."""

from __future__ import annotations

import os
import pty

import pytest

from gamekeeper.cli.log_lines import LinePrinter, LogView
from gamekeeper.cli.output import print_fields, print_table


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
        lines = os.read(ours, 4096).decode().splitlines()
    os.close(ours)
    assert lines == ["RUN               STATE", "6b0b067adb268570  waiting_node  竜 and no room…"]
