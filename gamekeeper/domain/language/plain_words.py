"""Errors of the models in plain words: what pydantic says is for programmers."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gamekeeper.domain.language.problem import dotted
from gamekeeper.domain.language.values import kind_of

_MUST_BE = {
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
}
_LIMITS = {
    "greater_than": "gt",
    "greater_than_equal": "ge",
    "less_than": "lt",
    "less_than_equal": "le",
}
_THAN = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def first_words(error: ValidationError) -> str:
    """The first error of a model, for a place that has room for one."""
    detail = error.errors(include_url=False)[0]
    return f"{dotted(detail['loc'])}: {plain_words(detail)}".removeprefix(": ")


def plain_words(detail: ErrorDetails) -> str:
    """The message of one error of a model, for a user."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind.startswith("gk_"):
        return detail["msg"]
    if kind == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    if kind in ("literal_error", "enum"):
        return f"{_shown(detail['input'])}; use {_words(str(context.get('expected', '')))}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}, got {kind_of(detail['input'])}"
    if kind in _LIMITS:
        key = _LIMITS[kind]
        return f"{_shown(detail['input'])}; use a value {_THAN[key]} {context[key]}"
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return _wrong_length(kind, context)
    return _OTHERS.get(kind, f"can't be {_shown(detail['input'])}")


_OTHERS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_pattern_mismatch": "has a character that can't be there",
    "json_invalid": "is not valid JSON",
    "datetime_parsing": "is not a time; write one as 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "is not a time; write one as 2026-01-31T12:00:00Z",
}


def _shown(value: Any) -> str:
    shown = kind_of(value) if isinstance(value, dict | list) or value is None else f'"{value}"'
    return shown if len(shown) <= 80 else f'{shown[:80]}..."'


def _words(expected: str) -> str:
    """pydantic's ``'a', 'b' or 'c'`` without its quotes."""
    return expected.replace("'", "")


def _wrong_length(kind: str, context: dict[str, Any]) -> str:
    what = "characters" if kind.startswith("string") else "entries"
    if kind.endswith("short"):
        least = context["min_length"]
        return f"has {'no' if not context.get('actual_length') else 'too few'} {what}; at least {least} must be there"
    return f"has more than the limit of {context['max_length']} {what}"
