"""Checks the call's arguments and environment against what the pipeline declares."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from gamekeeper.domain.language.declared_input import Arg, Env
from gamekeeper.domain.language.pattern import matches
from gamekeeper.domain.language.problem import ProblemList, did_you_mean
from gamekeeper.domain.language.source import Plain, core_value
from gamekeeper.domain.language.values import INT64_MAX, as_text, kind_of

_MISSING = object()
_JSON_TYPES = {"array": '["a", "b"]', "object": '{"a": 1}'}  # with an example of each
_ABSENT = object()  # neither given nor by default, and not required


def read_args(declared: Mapping[str, Arg], given: Mapping[str, Any], problems: ProblemList) -> dict[str, Any]:
    """The value of every declared argument, in its type; problems are added for the rest."""
    _refuse_unknown("args", declared, given, problems)
    values = {}
    for name, arg in declared.items():
        value = given.get(name, _MISSING)
        if value is _MISSING:
            value = _default(name, arg, problems)
        values[name] = None if value is _ABSENT else _check(name, arg, value, problems)
    return values


def check_call(declared: Mapping[str, Arg], given: Mapping[str, Any], problems: ProblemList) -> None:
    """Problems in arguments that are known at submission; arguments with templates are checked again when rendered."""
    _refuse_unknown("args", declared, given, problems)
    for name, arg in declared.items():
        if name not in given:
            _default(name, arg, problems)
        elif "${{" not in str(given[name]):
            _check(name, arg, given[name], problems)


def read_envs(declared: Mapping[str, Env], given: Mapping[str, Any], problems: ProblemList) -> dict[str, str]:
    """The text of every declared environment value that is no secret; a required one that is not given is a problem."""
    _refuse_unknown("envs", declared, given, problems)
    values = {}
    for name, env in declared.items():
        if env.secret is not None:
            if name in given:
                hint = f"gamekeeper secret set {env.secret}"
                problems.add(("envs", name), "secret", f'is the secret "{env.secret}"; no call gives its value', hint)
        elif name in given:
            try:
                values[name] = as_text(given[name])
            except ValueError:
                problems.add(("envs", name), "type", f"must be text, got {kind_of(given[name])}")
        elif env.default is not None:
            values[name] = env.default
        elif env.required is not False:
            problems.add(("envs", name), "required", "is required", f"give it with --env {name}=VALUE")
        else:
            values[name] = ""
    return values


def check_declared(name: str, arg: Arg, problems: ProblemList) -> None:
    """The limits of an argument can be kept at all, and its default fits its own type and limits."""
    if arg.pattern is not None:
        try:
            matches(arg.pattern, "")
        except ValueError as error:
            problems.add(("args", name, "pattern"), "pattern", str(error), "write it in the syntax of RE2")
            return
    for key in ("min", "max"):
        limit = core_value(getattr(arg, key))
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float)):
            problems.add(("args", name, key), "type", f"must be a number, got {kind_of(limit)}")
    if arg.default is not None:
        _check(name, arg, arg.default, problems)


def _refuse_unknown(kind: str, declared: Mapping[str, Any], given: Mapping[str, Any], problems: ProblemList) -> None:
    word = "argument" if kind == "args" else "environment value"
    for name in given:
        if name not in declared:
            problems.add((kind, name), "unknown", f"no such {word}", did_you_mean(name, declared))


def _default(name: str, arg: Arg, problems: ProblemList) -> Any:
    if arg.default is not None:
        return arg.default
    if arg.required is not False:
        problems.add(("args", name), "required", "is required", f"give it with --arg {name}=VALUE")
    return _ABSENT


def _check(name: str, arg: Arg, value: Any, problems: ProblemList) -> Any:
    path = ("args", name)
    if value is None and arg.required is False and arg.default is None:
        return None  # as if it were left out
    try:
        typed = _as_type(arg.type, value)
    except ValueError:
        hint = f"write it as JSON: --arg '{name}={_JSON_TYPES[arg.type]}'" if arg.type in _JSON_TYPES else ""
        problems.add(path, "type", f"must be {_article(arg.type)}, got {kind_of(value)}", hint)
        return None
    if arg.enum is not None and typed not in [_enum_value(arg.type, item) for item in arg.enum]:
        choices = ", ".join(str(core_value(item)) for item in arg.enum)
        problems.add(path, "enum", f'"{typed}" is not one of {choices}', did_you_mean(str(typed), choices.split(", ")))
    _check_bounds(path, arg, typed, problems)
    _check_pattern(path, arg, typed, problems)
    return typed


def _check_pattern(path: tuple[str, str], arg: Arg, value: Any, problems: ProblemList) -> None:
    if arg.pattern is None or not isinstance(value, str):
        return
    try:
        if not matches(arg.pattern, value):
            problems.add(path, "pattern", f'"{_shown(value)}" does not match {arg.pattern}')
    except ValueError as error:  # in a pipeline that was stored when patterns were Python's
        problems.add(path, "pattern", str(error))


def _shown(text: str) -> str:
    """One line, in which a control character can be seen."""
    line = json.dumps(text if len(text) <= 100 else f"{text[:100]}...", ensure_ascii=False)
    return line[1:-1].replace('\\"', '"')


def _enum_value(type_name: str, item: Any) -> Any:
    try:
        return _as_type(type_name, item)
    except ValueError:
        return _MISSING


def _check_bounds(path: tuple[str, str], arg: Arg, value: Any, problems: ProblemList) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = core_value(arg.min), core_value(arg.max)
    if isinstance(low, int | float) and value < low:
        problems.add(path, "min", f"{value} is below min {low}")
    if isinstance(high, int | float) and value > high:
        problems.add(path, "max", f"{value} is above max {high}")


def _as_type(type_name: str, value: Any) -> Any:
    """The value in its declared type; text from a command line is read as its type's spelling."""
    if type_name == "string":
        return as_text(value)
    plain = core_value(Plain(value)) if isinstance(value, str) else core_value(value)
    if isinstance(value, str) and type_name in _JSON_TYPES:
        plain = _from_json(value)
    wanted: dict[str, type | tuple[type, ...]] = {
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    is_bool_as_number = isinstance(plain, bool) and type_name != "boolean"
    if is_bool_as_number or not isinstance(plain, wanted[type_name]):
        raise ValueError(type_name)
    if isinstance(plain, int) and abs(plain) > INT64_MAX:
        raise ValueError(type_name)
    if not _is_json(plain):
        raise ValueError(type_name)
    return plain


def _is_json(value: Any) -> bool:
    """False for a number that is none, at any depth: no limit holds it, and no database takes it."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return not isinstance(value, float) or math.isfinite(value)


def _from_json(text: str) -> Any:
    """Raises ValueError for what is no JSON."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("too deep") from error


def _article(type_name: str) -> str:
    return {"integer": "an integer within 2^63", "object": "an object", "array": "an array"}.get(
        type_name, f"a {type_name}"
    )
