"""The values of expressions: evaluating one, within what it may cost, and rendering texts with templates.

Evaluation is pure, and what it costs depends on nothing but the expression and its values, so the workflow does it
itself and a replay does the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import cel

from gamekeeper.domain.language.counted_expression import ENTRIES, PATTERN, ROUND, Region
from gamekeeper.domain.language.expression_words import failure_words
from gamekeeper.domain.language.expressions import (
    ROOTS,
    STATUS_FUNCTIONS,
    TEMPLATE,
    ExpressionError,
    compile_expression,
    is_dynamic,
    reads,
    shown,
    whole_expression,
)
from gamekeeper.domain.language.metering import TOO_MUCH, Budget, Meter, size
from gamekeeper.errors import InvalidError

RANGE_LIMIT = 256


@dataclass
class Values:
    """The values of the names in an expression when it is evaluated."""

    args: Mapping[str, Any] = field(default_factory=dict)
    envs: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    node: Mapping[str, Any] = field(default_factory=dict)
    matrix: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, bool] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()  # "args.NAME", "envs.NAME" or "node": not given, or given wrong
    budget: Budget = field(default_factory=Budget)  # of all expressions that share these values


def reads_unknown(text: str, values: Values) -> bool:
    """True when an expression reads something that is not known, so that its value can't be told."""
    if "node" in values.unknown and reads(text, "node"):
        return True
    for root in ("args", "envs"):
        unknown = {name.removeprefix(f"{root}.") for name in values.unknown if name.startswith(f"{root}.")}
        if unknown and (unknown | {"*"}) & reads(text, root):
            return True
    return False


def evaluate(text: str, values: Values) -> Any:
    """The value of one expression, as JSON has values. Raises ExpressionError with the reason."""
    compiled = compile_expression(text)
    counted = Meter(compiled.regions, _named(values), values.budget)
    try:
        counted.begin()
        value = compiled.counting.execute(_context(values, compiled.regions, counted))
        counted.refuse_excess()
        return _plain(value)
    except InvalidError as error:
        raise ExpressionError(f'"{shown(text)}": {error.message}', hint=error.hint) from error
    except Exception as error:
        reason = TOO_MUCH if counted.is_over else f"failed: {failure_words(error)}"
        raise ExpressionError(f'"{shown(text)}" {reason}') from error


_KINDS = {bytes: "bytes", type: "a type"}


def _plain(value: Any) -> Any:
    """``value`` with nothing in it that JSON doesn't have: a value goes into containers, histories and the database.

    A duration reads as ``300s`` and a timestamp as ``2026-01-31T12:00:00Z``, as CEL's own ``string()`` writes them.
    Raises ExpressionError for bytes, types, NaN and infinity.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        made = {as_template_text(_plain(key)): _plain(item) for key, item in value.items()}
        return dict(sorted(made.items()))  # CEL gives them in another order each time
    what = f"the number {value}" if isinstance(value, float) else _KINDS.get(type(value), "a value")
    raise ExpressionError(f"it gives {what}, which can't be used", hint="convert it, as with string()")


def _named(values: Values) -> dict[str, Mapping[str, Any]]:
    return {root: getattr(values, root) for root in ROOTS}


def _context(values: Values, regions: Sequence[Region], counted: Meter) -> cel.Context:
    """The values that the expression names, and no others: each is copied for CEL."""
    reads = {read for region in regions for read in region.reads}
    variables = {
        root: _members(given, {name for read, name in reads if read == root}) for root, given in _named(values).items()
    }

    def priced(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            counted.spend(sum(map(size, given)))
            return function(*given)

        return call

    functions = {name: priced(function) for name, function in _FUNCTIONS.items()}
    functions |= {ROUND: counted.round, PATTERN: counted.pattern, ENTRIES: counted.entries}
    for name in STATUS_FUNCTIONS:
        functions[name] = lambda held=values.status.get(name, name in ("success", "always")): held
    return cel.Context(variables, functions)


def _members(given: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return dict(given) if "" in names else {name: given[name] for name in names if name in given}


def _range(*given: Any) -> list[int]:
    if len(given) != 1 or isinstance(given[0], bool) or not isinstance(given[0], int):
        raise InvalidError("range() takes one whole number")
    if not 0 <= given[0] <= RANGE_LIMIT:
        raise InvalidError(f"range({given[0]}) is outside 0 to {RANGE_LIMIT}")
    return list(range(given[0]))


def _from_json(*given: Any) -> Any:
    if len(given) != 1 or not isinstance(given[0], str):
        raise InvalidError("from_json() takes one text")
    try:
        return json.loads(given[0])
    except ValueError:
        raise InvalidError("from_json() takes a text that is JSON") from None


def _hash(*given: Any) -> str:
    if len(given) != 1:
        raise InvalidError("hash() takes one value")
    value = _plain(given[0])
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


_FUNCTIONS: dict[str, Callable[..., Any]] = {"range": _range, "from_json": _from_json, "hash": _hash}


def as_template_text(value: Any) -> str:
    """The text of a value inside a longer string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def as_texts(rendered: Mapping[str, Any]) -> dict[str, str]:
    """Rendered values where only text can stand, as in an environment: a list or a mapping becomes JSON."""
    return {name: value if isinstance(value, str) else as_template_text(value) for name, value in rendered.items()}


def as_environment(given: Mapping[str, Any], rendered: Mapping[str, Any]) -> dict[str, str | None]:
    """As texts, but for the names that are given without a value: these stay None, and take the image's own away."""
    return {name: None if given[name] is None else text for name, text in as_texts(rendered).items()}


def render(text: str, values: Values, *, static_only: bool = False) -> Any:
    """``text`` with its templates replaced; a whole-value template keeps its type.

    With ``static_only`` expressions that read the run's progress, or what is unknown, stay as they are.
    """
    whole = whole_expression(text)
    in_cell = bool(values.matrix)

    def stays(expression: str) -> bool:
        return is_dynamic(expression, in_cell=in_cell) or reads_unknown(expression, values)

    if whole is not None:
        return text if static_only and stays(whole) else evaluate(whole, values)

    def replace(match: re.Match[str]) -> str:
        if static_only and stays(match.group(1)):
            return match.group()
        return as_template_text(evaluate(match.group(1), values))

    return TEMPLATE.sub(replace, text)


def render_tree(value: Any, values: Values, *, static_only: bool = False) -> Any:
    """Every string in a structure of dicts and lists, rendered."""
    if isinstance(value, dict):
        return {key: render_tree(item, values, static_only=static_only) for key, item in value.items()}
    if isinstance(value, list):
        return [render_tree(item, values, static_only=static_only) for item in value]
    if isinstance(value, str) and "${{" in value:
        return render(value, values, static_only=static_only)
    return value
