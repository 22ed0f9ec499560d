"""The output of a console on a terminal. Its cursor, colours and screens are the program's, as who knows ``docker
attach``, or has an editor inside, expects; what reaches beyond the screen is left out.

Left out are strings to the terminal (OSC, DCS, APC, PM, SOS: titles, the clipboard, answers that it would type), window
reports and orders (CSI t), printing (CSI i), the answerback (ENQ) and changes of the coding. Sequences are passed on
whole or not at all, so that nothing left out makes one of what stands around it.
"""

from __future__ import annotations

import codecs
import re

_C0 = "\x00-\x17\x19\x1c-\x1f\x7f"  # a terminal does these in the middle of a sequence, and goes on with it
_PARAMETERS = f"[{_C0} -?]*"
_TOKEN = re.compile(
    f"(?P<string>\x1b[{_C0}]*[\\]PX^_]|[\x90\x98\x9d-\x9f])"
    f"|(?P<csi>(?:\x1b[{_C0}]*\\[|\x9b){_PARAMETERS}[@-~])"
    f"|(?P<escape>\x1b[{_C0}]*(?:[ -/][{_C0} -/]*)?[0-OQ-WYZ\\\\`-~])"
    f"|(?P<begun>\x1b[{_C0} -/]*(?:\\[{_PARAMETERS})?|\x9b{_PARAMETERS})"
    "|(?P<plain>[^\x1b\x90\x98\x9b\x9d-\x9f]+)"
)
_END = re.compile("\x07|\x1b\\\\|\x9c|[\x18\x1a]|(?=\x1b[^\\\\])")  # of a string; another sequence ends it as well
_LONGEST = 1 << 20
_BEGUN_LONGEST = 1024
_RAW_C1 = re.compile("[\udc80-\udc9f]")  # bytes that are no UTF-8, and controls where a terminal reads none


class ConsoleText:
    """The bytes of one stream, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""
        self._string_length: int | None = None  # of the one that goes on

    def add(self, raw: bytes) -> bytes:
        """The part that may be written now."""
        text, self._held = self._held + self._decoder.decode(raw), ""
        shown, place = [], 0
        while place < len(text):
            if self._string_length is not None:
                place = self._pass_string(text, place)
                continue
            token = _TOKEN.match(text, place)
            assert token is not None, "every letter begins a token"
            place = token.end()
            if token["string"]:
                self._string_length = 0
            elif token["begun"] and place == len(text) and len(token[0]) <= _BEGUN_LONGEST:
                self._held = token[0]
            elif token["plain"] or _is_harmless(token):
                shown.append(token[0].replace("\x05", ""))
        return _RAW_C1.sub("\ufffd", "".join(shown)).encode(errors="surrogateescape")

    def _pass_string(self, text: str, place: int) -> int:
        """The place behind the string, or behind what there is of it."""
        found = _END.search(text, place)
        if found is not None:
            self._string_length = None
            return found.end()
        self._held = "\x1b" if text.endswith("\x1b") else ""
        self._string_length = (self._string_length or 0) + len(text) - place
        if self._string_length > _LONGEST:
            self._string_length = None
        return len(text)


def _is_harmless(token: re.Match[str]) -> bool:
    if token["csi"]:
        return token["csi"][-1] not in "ti"
    return bool(token["escape"]) and "%" not in token["escape"]
