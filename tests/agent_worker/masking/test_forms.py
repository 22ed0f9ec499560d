"""A value is found however a program prints it; the programs here are real ones where they are at hand."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

from agent_worker.masking.forms import MIN_BYTES, forms_of
from agent_worker.masking.masker import MASK, ValueMasker, mask

PLAIN = b"tr0ub4dor-and-3"
ODD = b"p\xc3\xa4ss w\"o'r$d/+<&>\\x`y!=#,~;{1}"
LONG = bytes(range(33, 127)) * 3
BINARY = bytes(range(256))
KEY = b"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nqhkiG9w0BAQ=\n-----END KEY-----\n"


def bash(script: str, value: bytes, locale: str = "C") -> bytes:
    environment = {b"PATH": b"/usr/bin:/bin", b"LC_ALL": locale.encode(), b"X": value}
    return subprocess.run(["bash", "-c", script], env=environment, check=True, capture_output=True).stdout


def masked(value: bytes, text: bytes) -> bytes:
    return mask(ValueMasker([value]), text)


SHELL = {
    "as it is": 'printf "%s\\n" "$X"',
    "base64": 'printf %s "$X" | base64 -w 0',
    "base64 of a line": 'echo "$X" | base64 -w 0',
    "base64 in lines": 'echo "$X" | base64',
    "base64 in lines of 64": 'printf %s "$X" | base64 -w 64',
    "hex": "printf %s \"$X\" | od -An -v -tx1 | tr -d ' \\n'",
    "upper hex": "printf %s \"$X\" | od -An -v -tx1 | tr -d ' \\n' | tr a-f A-F",
    "for a shell": 'printf "%q\\n" "$X"',
    "in quotes": 'printf "%s\\n" "${X@Q}"',
    "a declaration": "declare -p X",
    "traced": 'exec 2>&1; set -x; : "$X"',
}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("script", SHELL.values(), ids=SHELL)
@pytest.mark.parametrize("value", [PLAIN, ODD, LONG, b"four", b"ab\tc\x07d\x1be"])
def test_what_a_shell_prints_is_masked(value: bytes, script: str, locale: str) -> None:
    printed, words = bash(script, value, locale), bash(script, b"", locale)
    shown = masked(value, printed)
    assert MASK in shown
    left = shown.replace(MASK, b"")
    assert len(left) <= len(words) + 6, left  # the program's own words, quotes, and the end of a last line
    assert shown.count(b"\n") == printed.count(b"\n")


ENCODERS: dict[str, Callable[[str], str]] = {
    "json": json.dumps,
    "json of any letter": lambda text: json.dumps(text, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps({"a": text})),
    "json with slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "json for a page": lambda text: (
        json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "a form": urllib.parse.quote_plus,
    "a path": urllib.parse.quote,
    "a part of a path": lambda text: urllib.parse.quote(text, safe=""),
    "lower percents": lambda text: urllib.parse.quote(text, safe="").replace("%C3%A4", "%c3%a4").replace("%2B", "%2b"),
    "encodeURIComponent": lambda text: urllib.parse.quote(text, safe="!'()*"),
    "all percents": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "all lower percents": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "shlex": lambda text: shlex.quote(text),
    "repr": repr,
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("text", [PLAIN.decode(), "p\u00e4ss/w\u00f6+rd <&> \U0001f511", 'it\'s "it"\\n'])
def test_an_encoded_text_is_masked(text: str, encode: Callable[[str], str]) -> None:
    if encode is ENCODERS["lower percents"] and "%" in urllib.parse.quote(text.replace("+", "").replace("ä", "")):
        text = "pä+ssword"
    printed = f"before {encode(text)} after".encode()
    shown = masked(text.encode(), printed)
    assert MASK in shown
    assert set(shown.removeprefix(b"before ").removesuffix(b" after").replace(MASK, b"")) <= set(b"'\"\\{}a: ")


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("value", [PLAIN, b"four", BINARY, b"\xff\xfe\xfb\xef\xbe" * 4])
def test_a_value_within_a_text_of_base64_is_masked(value: bytes, before: int, after: int) -> None:
    """At each end a character may be left, that has some bits of the value."""
    text = b"user:pw"[:before] + value + b"\n@x."[:after]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = masked(value, encode(text))
        assert MASK in shown
        assert len(shown.replace(MASK, b"")) <= -(-before * 8 // 6) + -(-after * 8 // 6) + 4


def test_each_line_of_a_value_is_masked_and_they_stay_lines() -> None:
    assert masked(KEY, b"key:\n" + KEY + b"end\n") == b"key:\n***\n***\n***\n***\nend\n"
    indented = b"".join(b"    " + line + b"\r\n" for line in KEY.splitlines())
    assert masked(KEY, indented) == b"    ***\r\n" * 4
    assert masked(KEY, json.dumps({"key": KEY.decode()}).encode()) == b'{"key": "***"}'
    assert masked(KEY, base64.b64encode(KEY)) == MASK
    assert masked(KEY, base64.encodebytes(KEY)) == b"***\n***\n"


def test_a_value_without_its_last_newline_is_the_same_value() -> None:
    value = b"s3cr3t-value\n"
    assert masked(value, b"s3cr3t-value") == MASK
    assert masked(value, base64.b64encode(b"s3cr3t-value")) == MASK
    assert masked(value, base64.b64encode(value)) == MASK


@pytest.mark.parametrize("value", [b"", b"a", b"abc", b"abc\n", b"  1 \n"])
def test_short_values_are_not_looked_for(value: bytes) -> None:
    masker = ValueMasker([value])
    assert masker.too_short == 1
    assert mask(masker, b"abc 1 YWJj 616263") == b"abc 1 YWJj 616263"


def _all_forms() -> Iterator[bytes]:
    for value in (
        PLAIN,
        ODD,
        LONG,
        BINARY,
        KEY,
        b"four",
        b"line one\n\nb\n line two",
        "\u00e4\u00f6\u00fc\u00df".encode(),
    ):
        yield from forms_of(value)


def test_no_form_is_short_or_has_a_newline() -> None:
    forms = list(_all_forms())
    assert forms
    assert all(len(form) >= MIN_BYTES and b"\n" not in form for form in forms)
