"""The work that a pipeline's judging is made of. Each function is pure, and what it takes and gives can be pickled."""

from __future__ import annotations

from gamekeeper.domain.language.check import Checked, check_document
from gamekeeper.domain.language.resolve import Call, resolve, validate
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.language.source import Document, parse_text


def parse(text: str) -> Document:
    """Raises SpecError."""
    return parse_text(text)


def check(document: Document) -> Checked:
    """Raises SpecError with every problem."""
    return check_document(document)


def validate_text(text: str) -> Checked:
    """Raises SpecError with every problem."""
    return validate(parse_text(text))


def resolve_call(document: Document, call: Call) -> ResolvedPipeline:
    """Raises SpecError with every problem."""
    return resolve(document, call)


WORK = {work.__name__: work for work in (parse, check, validate_text, resolve_call)}
