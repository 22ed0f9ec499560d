"""Words that somebody types and nobody else is to see: without an echo, or from standard input where a script asks."""

from __future__ import annotations

import getpass
import sys

from gamekeeper.errors import InvalidError


def typed_password(question: str, *, from_stdin: bool) -> str:
    """Raises InvalidError for nothing, and where there is no terminal to ask on."""
    text = _line() if from_stdin else _asked(question)
    if not text:
        raise InvalidError("a password is needed", hint="give it with --password-stdin")
    return text


def typed_new_password(*, from_stdin: bool) -> str:
    """Typed twice on a terminal. Raises InvalidError where the two differ."""
    new = typed_password("new password: ", from_stdin=from_stdin)
    if not from_stdin and typed_password("once more: ", from_stdin=False) != new:
        raise InvalidError("the two passwords differ")
    return new


def typed_line(question: str) -> str:
    """A word that may be seen. Raises InvalidError where there is no terminal."""
    if not sys.stdin.isatty():
        raise InvalidError(f"there is no terminal to ask for: {question.strip(' :')}")
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _asked(question: str) -> str:
    if not sys.stdin.isatty():
        raise InvalidError("there is no terminal to ask for the password", hint="give it with --password-stdin")
    return getpass.getpass(question)
