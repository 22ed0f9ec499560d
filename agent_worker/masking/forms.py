"""The forms in which programs print a value: as it is, and encoded as base64, hex, URL, JSON or for a shell.

No form has a newline in it. So each line is masked by itself, in a log as in a console, and a value of several lines is
found line by line, in as many lines as it had.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote_from_bytes

MIN_BYTES = 4  # of a value, a line of one, and a form: shorter ones would be found in all kinds of words
MIME_COLUMNS, PEM_COLUMNS, XXD_COLUMNS = 76, 64, 60
# What stays as it is beside letters, digits and "_.-~": by RFC 3986, for Python's quote, encodeURIComponent, encodeURI,
# and in a path by Go's library.
_URL_SAFE = ("", "/", "!'()*", ";,/?:@&=+$#!'()*", "$&+:=@")
_BASH_QUOTED = frozenset(b" !\"$&'()*,;<>[\\]^`{|}?")  # by printf %q
_BASH_NAMED = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 27: "E", 39: "'", 92: "\\"}


def forms_of(value: bytes) -> set[bytes]:
    """All forms that are long enough to be looked for."""
    if len(value.strip()) < MIN_BYTES:
        return set()
    found = {line for text in (*_shell(value), *_json(value), value) for line in _lines(text)}
    for text in {value, value.rstrip(b"\r\n")}:
        found.update(_base64(text), _hex(text), _url(text))
    return {form for form in found if len(form) >= MIN_BYTES}


def _lines(text: bytes) -> Iterator[bytes]:
    """Each line, also without the blanks around it, which shells drop."""
    for line in text.split(b"\n"):
        yield line.rstrip(b"\r")
        yield line.strip()


def _base64(value: bytes) -> Iterator[bytes]:
    for text in (value, value + b"\n"):  # the second as by ``echo "$X" | base64``
        whole = base64.b64encode(text)
        yield from _both_alphabets(whole)
        yield from _both_alphabets(whole.rstrip(b"="))
        for columns in (MIME_COLUMNS, PEM_COLUMNS):
            yield from _wrapped(whole, columns)
    for before in range(3):  # within a longer text: the characters that depend on the value alone
        encoded = base64.b64encode(bytes(before) + value)
        begin, end = (before * 8 + 5) // 6, (before + len(value)) * 8 // 6
        yield from _both_alphabets(encoded[begin:end])


def _both_alphabets(text: bytes) -> Iterator[bytes]:
    yield text
    yield text.translate(bytes.maketrans(b"+/", b"-_"))


def _wrapped(text: bytes, columns: int) -> Iterator[bytes]:
    if len(text) > columns:
        yield from (text[at : at + columns] for at in range(0, len(text), columns))


def _hex(value: bytes) -> Iterator[bytes]:
    for text in (value, value + b"\n"):
        yield from _wrapped(text.hex().encode(), XXD_COLUMNS)
    yield value.hex().encode()
    yield value.hex().upper().encode()


def _url(value: bytes) -> Iterator[bytes]:
    every = b"".join(b"%%%02X" % byte for byte in value)
    quoted = {quote_from_bytes(value, safe).encode() for safe in _URL_SAFE}
    quoted |= {text.replace(b"%20", b"+") for text in quoted}
    quoted |= {text.replace(b"~", b"%7E") for text in quoted}  # as older libraries do
    for text in {*quoted, every}:
        yield text
        yield _lower_percents(text)


def _lower_percents(text: bytes) -> bytes:
    first, *rest = text.split(b"%")
    return b"%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _json(value: bytes) -> Iterator[bytes]:
    """Of a text, by the libraries of several languages, and once more within another JSON string."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    for pure in (True, False):
        plain = json.dumps(text, ensure_ascii=pure)[1:-1]
        for escaped in (plain, plain.replace("/", "\\/"), _without_html(plain), _upper_escapes(plain)):
            yield escaped.encode()
            yield json.dumps(escaped, ensure_ascii=pure)[1:-1].encode()


def _without_html(escaped: str) -> str:
    for sign in "<>&\u2028\u2029":
        escaped = escaped.replace(sign, f"\\u{ord(sign):04x}")
    return escaped


def _upper_escapes(escaped: str) -> str:
    first, *rest = escaped.split("\\u")
    return "\\u".join([first, *(part[:4].upper() + part[4:] for part in rest)])


def _shell(value: bytes) -> Iterator[bytes]:
    """The text between the quotes; and without quotes, by backslashes."""
    yield value.replace(b"'", b"'\\''")
    yield value.replace(b"'", b"'\"'\"'")
    yield _escaped(value, lambda byte: byte in b'\\"$`')
    yield _escaped(value, lambda byte: byte in _BASH_QUOTED)
    begin = value[:1] in (b"#", b"~")
    yield b"\\" * begin + _escaped(value, lambda byte: byte in _BASH_QUOTED)
    for octal in (True, False):
        yield _ansi_c(value, octal=octal, ascii_only=True)
        yield _ansi_c(value, octal=octal, ascii_only=False)


def _escaped(value: bytes, is_special: Callable[[int], bool]) -> bytes:
    return b"".join(b"\\%c" % byte if is_special(byte) else b"%c" % byte for byte in value)


def _ansi_c(value: bytes, *, octal: bool, ascii_only: bool) -> bytes:
    """As within ``$'...'``, and in strings of C and Python."""
    parts = []
    for byte in value:
        if byte in _BASH_NAMED:
            parts.append(f"\\{_BASH_NAMED[byte]}")
        elif byte < 32 or byte == 127 or (byte > 127 and ascii_only):
            parts.append(f"\\{byte:03o}" if octal else f"\\x{byte:02x}")
        else:
            parts.append(chr(byte))
    return "".join(parts).encode("latin-1")
