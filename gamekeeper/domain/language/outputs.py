"""Outputs of a step: it writes lines to the file ``$STEP_OUTPUT``, and later expressions read them as values.

``key=value``, or ``key<<END``, lines, and ``END`` alone. Only declared names are kept, of one given twice the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from gamekeeper.errors import InvalidError

VARIABLE = "STEP_OUTPUT"
MAX_BYTES = 64 * 1024
NUL = b"\0"  # no argument, environment or database takes one
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_HEREDOC = re.compile(r"([^=]+?)<<(\S+)")


def read_outputs(data: bytes, declared: Sequence[str]) -> dict[str, str]:
    """The declared outputs in a file's bytes. Raises InvalidError that names the fault of the file."""
    if len(data) > MAX_BYTES:
        raise InvalidError(f"${VARIABLE} is over {MAX_BYTES // 1024} KiB", hint="hand large things on as files")
    if NUL in data:
        raise InvalidError(f"${VARIABLE} has a NUL at byte {data.index(NUL)}", hint="encode it, for example as base64")
    try:
        lines = _lines(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidError(f"${VARIABLE} is not UTF-8 at byte {error.start}") from error
    found: dict[str, str] = {}
    _parse(lines, found)
    missing = [name for name in declared if name not in found]
    if missing:
        raise InvalidError(f'ended without output "{missing[0]}"', hint=f'write {missing[0]}=... to "${VARIABLE}"')
    return {name: found[name] for name in declared}


def salvage_outputs(data: bytes, declared: Sequence[str]) -> dict[str, str]:
    """The declared outputs that a step which failed has written, up to the first line that can't be read: it may have
    been stopped in the middle of one."""
    found: dict[str, str] = {}
    if len(data) <= MAX_BYTES:
        readable = data if NUL not in data else data.partition(NUL)[0].rpartition(b"\n")[0]
        with suppress(InvalidError):
            _parse(_lines(readable.decode(errors="replace")), found)
    return {name: found[name] for name in declared if name in found}


def _lines(text: str) -> list[str]:
    """Only LF and CR LF end a line: str.splitlines knows ten other ends, which a value may well hold."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def _parse(lines: list[str], found: dict[str, str]) -> None:
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        heredoc = _HEREDOC.fullmatch(line)
        if heredoc:
            name, end = heredoc.group(1).strip(), heredoc.group(2)
            if end not in lines[at:]:
                raise InvalidError(f'output "{name}" has no line "{end}" that ends it')
            stop = lines.index(end, at)
            found[name], at = "\n".join(lines[at:stop]), stop + 1
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name.strip()] = value
        elif line.strip():
            raise InvalidError(f'line {at} of ${VARIABLE} is neither key=value nor key<<END: "{line[:60]}"')
