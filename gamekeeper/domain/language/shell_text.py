"""A look at a shell command as the shell reads it: a template becomes a variable, so it must stand where the shell
replaces variables. Quotes, here-documents, substitutions and comments are told apart; no command is understood."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from gamekeeper.domain.language.expressions import TEMPLATE

_WORD = re.compile(r"<<(?!<)(-?)[ \t]*((?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|<>()'\"\\])+)")
_CLOSED_BY = {"$(": ")", "(": ")", "${": "}", "`": "`", '"': '"', "'": "'"}
_CODE = frozenset({"", "$(", "(", "`"})
MAX_DEPTH = 8  # of here-documents in one another: each is read again within the one around it
_TEXT = frozenset({'"', "<<"})  # in which a single quote is a character
_BEFORE_COMMENT = frozenset({"", " ", "\t", "\n", ";", "&", "|", "("})


class Fault(NamedTuple):
    """A problem of a command in which a value would not arrive."""

    code: str
    message: str
    hint: str


@dataclass
class _Document:
    """A here-document whose body begins at the next line."""

    end: str
    is_quoted: bool
    tabs: bool


@dataclass
class _Frame:
    """The middle of code, of a pair of quotes, a substitution or a here-document (``<<``). ``in_text`` is true of a
    ``${ }`` in double quotes, in which a single quote is a character too. ``in_arithmetic`` is true within
    ``$((1 << 2))``, which shifts and begins no here-document."""

    opened_by: str
    in_text: bool = False
    in_arithmetic: bool = False
    documents: list[_Document] = field(default_factory=list)


def find_fault(command: str) -> Fault | None:
    """The first template that no value would replace, or a here-document without an end."""
    return _Reader(command).read()


class _Reader:
    def __init__(self, text: str, opened_by: str = "", depth: int = 0) -> None:
        self._text = text
        self._depth = depth
        self._at = 0
        self._frames = [_Frame(opened_by)]

    def read(self) -> Fault | None:
        while self._at < len(self._text):
            fault = self._step()
            if fault is not None:
                return fault
        for frame in self._frames:
            for document in frame.documents:
                return _endless(document)
        return None

    def _step(self) -> Fault | None:
        frame, char = self._frames[-1], self._text[self._at]
        template = TEMPLATE.match(self._text, self._at)
        if template:
            self._at = template.end()
            return _single_quoted(template.group()) if frame.opened_by == "'" else None
        if frame.opened_by == "'":
            self._at += 1
            if char == "'":
                self._frames.pop()
            return None
        if char == "\\":
            return self._escape()
        if frame.opened_by in _CODE:
            return self._code(frame, char)
        self._open_or_close(frame, char)
        return None

    def _escape(self) -> Fault | None:
        template = TEMPLATE.match(self._text, self._at + 1)
        self._at += 2
        return _escaped(template.group()) if template else None

    def _code(self, frame: _Frame, char: str) -> Fault | None:
        if char == "\n" and frame.documents:
            return self._bodies(frame)
        if char == "#" and self._text[max(0, self._at - 1) : self._at] in _BEFORE_COMMENT:
            self._at = self._line_end(self._at)
            return None
        word = None if frame.in_arithmetic else _WORD.match(self._text, self._at)
        if word:
            self._at = word.end()
            end = re.sub(r"\\(.)|['\"]", r"\1", word.group(2))
            frame.documents.append(_Document(end, end != word.group(2), bool(word.group(1))))
            return None
        self._open_or_close(frame, char)
        return None

    def _open_or_close(self, frame: _Frame, char: str) -> None:
        two = self._text[self._at : self._at + 2]
        if char == _CLOSED_BY.get(frame.opened_by):
            self._frames.pop()
        elif two in ("$(", "${"):
            in_text = frame.in_text or frame.opened_by in _TEXT
            self._frames.append(_Frame(two, in_text=in_text, in_arithmetic=frame.in_arithmetic))
            self._at += 1
        elif self._opens(frame, char):
            in_arithmetic = frame.in_arithmetic or (frame.opened_by, char) == ("$(", "(")
            self._frames.append(_Frame(char, in_arithmetic=in_arithmetic))
        self._at += 1

    def _opens(self, frame: _Frame, char: str) -> bool:
        if char == "'":
            return frame.opened_by not in _TEXT and not (frame.opened_by == "${" and frame.in_text)
        if char == '"':
            return frame.opened_by != "<<"
        return char == "`" or (char == "(" and frame.opened_by in _CODE)

    def _bodies(self, frame: _Frame) -> Fault | None:
        """The bodies of the here-documents of the line that ends here, one after the other."""
        self._at += 1
        documents, frame.documents = frame.documents, []
        for document in documents:
            lines, ended = [], False
            while self._at < len(self._text) and not ended:
                end = self._line_end(self._at)
                line, self._at = self._text[self._at : end], end + 1
                ended = (line.lstrip("\t") if document.tabs else line) == document.end
                lines += [] if ended else [line]
            fault = self._body_fault(document, "\n".join(lines)) or (None if ended else _endless(document))
            if fault is not None:
                return fault
        return None

    def _body_fault(self, document: _Document, body: str) -> Fault | None:
        if document.is_quoted:
            template = TEMPLATE.search(body)
            return None if template is None else _not_filled_in(template.group(), document.end)
        if self._depth == MAX_DEPTH:
            message = f"here-documents stand in one another more than {MAX_DEPTH} deep"
            return Fault("script", message, "put the script into a file, or into the image")
        return _Reader(body, "<<", self._depth + 1).read()

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end


def _not_filled_in(template: str, end: str) -> Fault:
    message = f'"{template}" stands in a here-document whose end word is quoted, so nothing is filled in'
    return Fault("single_quotes", message, f"write <<{end} without quotes")


def _single_quoted(template: str) -> Fault:
    return Fault("single_quotes", f'"{template}" stands in single quotes', "use double quotes")


def _escaped(template: str) -> Fault:
    message = f'"{template}" stands behind a backslash, so nothing is filled in'
    return Fault("script", message, "take the backslash away")


def _endless(document: _Document) -> Fault:
    message = f'the here-document "{document.end}" has no end in this command'
    return Fault("script", message, "write all of it as one command: a | and its lines below")
