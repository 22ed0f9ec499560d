"""CEL inside ``${{ }}``: finding, checking, evaluating and rendering.

Evaluation is pure and takes microseconds, so the workflow does it itself. What an expression may name is checked
at submission: a name that is unknown there would otherwise be found at night, in the middle of a run.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import cel

from gamekeeper.domain.language.expression_words import FOREIGN_FUNCTIONS, FOREIGN_NAMES, failure_words, parse_words
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.errors import InvalidError

TEMPLATE = re.compile(r"\$\{\{((?:[^}'\"]|'[^']*'|\"[^\"]*\"|\}(?!\}))*)\}\}")
_STRING = re.compile(r"((?<=[\w\]])\[\s*(?:'[^']*'|\"[^\"]*\")\s*\])|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_MEMBER = re.compile(r"(?<![\w.])(args|envs|matrix|steps|run|node)\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(['\"])(.*?)\3\s*\])")
_NAME_OR_INDEX = r"(?:\.\s*([A-Za-z_]\w*)|\[\s*(['\"])(.*?){quote}\s*\])"
_OUTPUT = re.compile(
    r"(?<![\w.])steps\s*"
    + _NAME_OR_INDEX.replace("{quote}", r"\2")
    + r"\s*\.\s*outputs\s*"
    + _NAME_OR_INDEX.replace("{quote}", r"\5")
)
_FIELD = re.compile(
    r"(?<![\w.])steps\s*" + _NAME_OR_INDEX.replace("{quote}", r"\2") + r"\s*" + _NAME_OR_INDEX.replace("{quote}", r"\5")
)
STATUS_FUNCTIONS = frozenset({"success", "failure", "cancelled", "always"})
FUNCTIONS = frozenset({"range", "from_json", "hash"}) | STATUS_FUNCTIONS
RANGE_LIMIT = 256
EXPRESSION_LIMIT = 4096

RUN_FIELDS = frozenset({"id", "name", "status"})
NODE_FIELDS = frozenset({"id"})
STEP_FIELDS = frozenset({"status", "exit_code", "outputs"})


@dataclass(frozen=True)
class Scope:
    """The names an expression may use; ``steps`` are the steps whose end it may read."""

    args: frozenset[str] = frozenset()
    envs: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    outputs: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by step, those it declares
    matrix: frozenset[str] | None = None  # None outside a matrix


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


class ExpressionError(InvalidError):
    """An expression that does not parse, names the unknown, or fails on its values."""


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}..."


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> cel.Program:
    """Raises ExpressionError with the reason in one line."""
    if len(text) > EXPRESSION_LIMIT:
        raise ExpressionError(f"the expression is over {EXPRESSION_LIMIT} characters")
    try:
        return cel.compile(text.strip())
    except Exception as error:
        reason = parse_words(error) if text.strip() else "it is empty"
        raise ExpressionError(f'"{_shown(text)}" is not an expression: {reason}') from error


def find_expressions(text: str) -> Iterator[str]:
    """The expressions in ``text``, in order."""
    return (match.group(1) for match in TEMPLATE.finditer(text))


def whole_expression(text: str) -> str | None:
    """The expression when ``text`` is one template and nothing else; its value then keeps its type."""
    match = TEMPLATE.fullmatch(text.strip())
    return match.group(1) if match else None


def check_expression(text: str, scope: Scope) -> None:
    """Raises ExpressionError when ``text`` does not parse or names something that is not in ``scope``."""
    program = compile_expression(text)
    bare = _STRING.sub(lambda found: found.group(1) or "''", text)  # without strings, but for an index such as ['a']
    for member in _MEMBER.finditer(bare):
        _check_member(member.group(1), member.group(2) or member.group(4), scope)
    for output in _OUTPUT.finditer(bare):
        _check_output(output.group(1) or output.group(3), output.group(4) or output.group(6), scope)
    for found in _FIELD.finditer(bare):
        _check_field(found.group(1) or found.group(3), found.group(4) or found.group(6), scope)
    roots = {"args", "envs", "matrix", "steps", "run", "node"}
    bound = set(re.findall(r"\.(?:map|filter|all|exists|exists_one)\(\s*(\w+)\s*,", text))
    for name in sorted(set(program.variables()) - roots - bound):
        raise ExpressionError(f'unknown name "{name}"', hint=_name_hint(name, text, roots))
    for name in sorted(set(program.functions()) - FUNCTIONS):
        if name.isidentifier() and not name.startswith("_") and name not in _CEL_FUNCTIONS:
            hint = FOREIGN_FUNCTIONS.get(name) or did_you_mean(name, FUNCTIONS | _CEL_FUNCTIONS)
            raise ExpressionError(f'unknown function "{name}"', hint=hint)
    method = _METHOD_ALONE.search(bare)
    if method:
        raise ExpressionError(f'"{method.group(1)}" stands behind a text', hint=FOREIGN_FUNCTIONS[method.group(1)])


_CEL_FUNCTIONS = frozenset(
    "size int uint double string bool bytes duration timestamp type contains startsWith endsWith matches map filter"
    " all exists exists_one has min max dyn in getFullYear getMonth getDate getHours getMinutes getSeconds".split()
)


_METHOD_ALONE = re.compile(r"(?<![\w.])(contains|startsWith|endsWith)\s*\(")


def _name_hint(name: str, text: str, roots: set[str]) -> str:
    if name in FOREIGN_NAMES:
        return FOREIGN_NAMES[name]
    dashed = re.search(rf"steps\.([\w]+(?:-[\w]+)*-{re.escape(name)})", text)
    if dashed:
        return f'a step whose name has "-" is written steps["{dashed.group(1)}"]'
    close = did_you_mean(name, roots)
    if close.startswith("did you mean"):
        rest = re.search(rf"{re.escape(name)}(\.\w+)", text)
        return close.replace('"?', f'{rest.group(1)}"?') if rest else close
    return "the names are args, envs, steps, run and node"


def _check_member(root: str, name: str, scope: Scope) -> None:
    known = {
        "args": scope.args,
        "envs": scope.envs,
        "steps": scope.steps,
        "run": RUN_FIELDS,
        "node": NODE_FIELDS,
        "matrix": scope.matrix or frozenset[str](),
    }[root]
    if root == "matrix" and scope.matrix is None:
        raise ExpressionError('"matrix" is for the container of a step that has one')
    if name in known or (root == "steps" and any(step.startswith(f"{name}-") for step in known)):
        return
    hint = did_you_mean(name, known)
    full = hint.replace('mean "', f'mean "{root}.') if hint.startswith("did") else hint
    raise ExpressionError(f'unknown name "{root}.{name}"', hint=full)


def _check_output(step: str, name: str, scope: Scope) -> None:
    declared = scope.outputs.get(step)
    if declared is not None and name not in declared:
        hint = did_you_mean(name, declared) or f'add "outputs: [{name}]" to step "{step}"'
        raise ExpressionError(f'step "{step}" declares no output "{name}"', hint=hint)


def _check_field(step: str, field: str, scope: Scope) -> None:
    if step not in scope.steps or field in STEP_FIELDS:
        return
    if field == "ports":
        raise ExpressionError("the ports of a step are not supported yet", hint="publish a fixed port by an argument")
    hint = did_you_mean(field, STEP_FIELDS)
    raise ExpressionError(f'a step has no "{field}"', hint=hint)


def is_dynamic(text: str, *, in_cell: bool = False) -> bool:
    """True when an expression can only be known while the run goes on: it reads steps, the run's status, or a cell."""
    program = compile_expression(text)
    names = set(program.variables())
    progressing = ({"steps"} if in_cell else {"steps", "matrix"}) & names or STATUS_FUNCTIONS & set(program.functions())
    return bool(progressing) or _reads_status(text, names)


def _reads_status(text: str, names: set[str]) -> bool:
    return "run" in names and "status" in text


def reads_args(text: str) -> set[str]:
    """The arguments that an expression names; ``*`` when it reads ``args`` in a way that names none."""
    return _reads(text, "args")


def _reads(text: str, root: str) -> set[str]:
    bare = _STRING.sub(lambda found: found.group(1) or "''", text)
    members = [member for member in _MEMBER.finditer(bare) if member.group(1) == root]
    names = {member.group(2) or member.group(4) for member in members}
    mentioned = len(re.findall(rf"(?<![\w.]){root}\b", bare))
    return names if mentioned == len(members) else names | {"*"}


def reads_unknown(text: str, values: Values) -> bool:
    """True when an expression reads something that is not known, so that its value can't be told."""
    if "node" in values.unknown and _reads(text, "node"):
        return True
    for root in ("args", "envs"):
        unknown = {name.removeprefix(f"{root}.") for name in values.unknown if name.startswith(f"{root}.")}
        if unknown and (unknown | {"*"}) & _reads(text, root):
            return True
    return False


def uses_status_function(text: str) -> bool:
    return bool(STATUS_FUNCTIONS & set(compile_expression(text).functions()))


def evaluate(text: str, values: Values) -> Any:
    """The value of one expression, as JSON has values. Raises ExpressionError with the reason."""
    try:
        return _plain(compile_expression(text).execute(_context(values)))
    except ExpressionError as error:
        raise ExpressionError(f'"{_shown(text)}": {error.message}', hint=error.hint) from error
    except Exception as error:
        raise ExpressionError(f'"{_shown(text)}" failed: {failure_words(error)}') from error


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
        return {as_template_text(_plain(key)): _plain(item) for key, item in value.items()}
    what = f"the number {value}" if isinstance(value, float) else _KINDS.get(type(value), "a value")
    raise ExpressionError(f"it gives {what}, which can't be used", hint="convert it, as with string()")


def _context(values: Values) -> cel.Context:
    variables = {
        "args": dict(values.args),
        "envs": dict(values.envs),
        "steps": {name: dict(step) for name, step in values.steps.items()},
        "run": dict(values.run),
        "node": dict(values.node),
        "matrix": dict(values.matrix),
    }
    functions: dict[str, Callable[..., Any]] = {"range": _range, "from_json": _from_json, "hash": _hash}
    for name in STATUS_FUNCTIONS:
        functions[name] = lambda held=values.status.get(name, name in ("success", "always")): held
    return cel.Context(variables, functions)


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
