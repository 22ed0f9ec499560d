"""CEL inside ``${{ }}``: finding, checking, evaluating and rendering.

Evaluation is pure and takes microseconds, so the workflow does it itself. What an expression may name is checked
at submission: a name that is unknown there would otherwise be found at night, in the middle of a run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import cel

from gamekeeper.domain.language.counted_expression import Region, with_counters
from gamekeeper.domain.language.expression_tokens import strange_signs
from gamekeeper.domain.language.expression_words import FOREIGN_FUNCTIONS, FOREIGN_NAMES, parse_words
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.errors import InvalidError

# It warns of a function of ours that refuses its arguments, which is an answer to the user and told as one.
logging.getLogger("cel").setLevel(logging.CRITICAL)

# No template stands in another, not even in a text of it. So however many have no end, each is looked at up to the next
# one alone.
_CHAR = r"[^}'\"$]|\$(?!\{\{)"
_TEXTS = r"'(?:[^'$]|\$(?!\{\{))*'|\"(?:[^\"$]|\$(?!\{\{))*\""
TEMPLATE = re.compile(rf"\$\{{\{{((?:{_CHAR}|{_TEXTS}|\}}(?!\}}))*)\}}\}}")
_STRING = re.compile(r"((?<=[\w\]])\[\s*(?:'[^']*'|\"[^\"]*\")\s*\])|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_MEMBER = re.compile(r"(?<![\w.])(args|envs|matrix|steps|run|node)\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(['\"])(.*?)\3\s*\])")
_NAME_OR_INDEX = r"(?:\.\s*([A-Za-z_]\w*)|\[\s*(['\"])(.*?){quote}\s*\])"
_PART = re.compile(
    r"(?<![\w.])steps\s*"
    + _NAME_OR_INDEX.replace("{quote}", r"\2")
    + r"\s*\.\s*(outputs|ports)\s*"
    + r"(?:\[\s*(\d+)\s*\]|"
    + _NAME_OR_INDEX.replace("{quote}", r"\7")
    + ")"
)
_FIELD = re.compile(
    r"(?<![\w.])steps\s*" + _NAME_OR_INDEX.replace("{quote}", r"\2") + r"\s*" + _NAME_OR_INDEX.replace("{quote}", r"\5")
)
STATUS_FUNCTIONS = frozenset({"success", "failure", "cancelled", "always"})
FUNCTIONS = frozenset({"range", "from_json", "hash"}) | STATUS_FUNCTIONS
EXPRESSION_LIMIT = 4096
ROOTS = frozenset({"args", "envs", "matrix", "steps", "run", "node"})
MAX_STRANGE = 3

RUN_FIELDS = frozenset({"id", "name", "status"})
NODE_FIELDS = frozenset({"id"})
STEP_FIELDS = frozenset({"status", "exit_code", "outputs", "ports"})


@dataclass(frozen=True)
class Scope:
    """The names an expression may use; ``steps`` are the steps whose end it may read."""

    args: frozenset[str] = frozenset()
    envs: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    outputs: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by step, those it declares
    ports: Mapping[str, frozenset[str] | None] = field(default_factory=dict)  # by service; None where nobody knows yet
    matrix: frozenset[str] | None = None  # None outside a matrix
    secrets: frozenset[str] = frozenset()  # those of the envs that are secrets


class ExpressionError(InvalidError):
    """An expression that does not parse, names the unknown, or fails on its values."""


def shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}..."


class Compiled(NamedTuple):
    """An expression as it was written, which tells its names, and as it is evaluated: with counters."""

    written: cel.Program
    counting: cel.Program
    regions: Sequence[Region]


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Compiled:
    """Raises ExpressionError with the reason in one line."""
    if len(text) > EXPRESSION_LIMIT:
        raise ExpressionError(f"the expression is over {EXPRESSION_LIMIT} characters")
    text = text.strip()
    try:
        written = _parsed(text)
        counted = with_counters(text, ROOTS)
        counting = written if counted.text == text else _with_its_counters(counted.text)
        return Compiled(written, counting, counted.regions)
    except InvalidError as error:
        raise ExpressionError(f'"{shown(text)}" is not an expression: {error.message}', hint=error.hint) from error


def _parsed(text: str) -> cel.Program:
    strange = strange_signs(text)
    if len(strange) > MAX_STRANGE:  # CEL's parser takes a while to tell of each
        place, sign = strange[0]
        raise InvalidError(f'at column {place + 1}: "{sign}" is no word of an expression; is a quote missing?')
    try:
        return cel.compile(text)
    except ValueError as error:  # all that CEL has to say against a text; the rest is a fault of ours
        raise InvalidError(parse_words(error) if text else "it is empty") from error


def _with_its_counters(text: str) -> cel.Program:
    """CEL reads odd spellings that take no counter, such as a macro behind nothing (``.map(x, x)``). Nobody needs
    them, and what can't be counted is not evaluated."""
    try:
        return cel.compile(text)
    except ValueError as error:
        raise InvalidError("a macro stands behind no value", hint="write it as args.list.map(x, x + 1)") from error


def find_expressions(text: str) -> Iterator[str]:
    """The expressions in ``text``, in order."""
    return (match.group(1) for match in TEMPLATE.finditer(text))


def whole_expression(text: str) -> str | None:
    """The expression when ``text`` is one template and nothing else; its value then keeps its type."""
    match = TEMPLATE.fullmatch(text.strip())
    return match.group(1) if match else None


def check_expression(text: str, scope: Scope) -> None:
    """Raises ExpressionError when ``text`` does not parse or names something that is not in ``scope``."""
    program = compile_expression(text).written
    bare = _STRING.sub(lambda found: found.group(1) or "''", text)  # without strings, but for an index such as ['a']
    _check_members(bare, scope)
    bound = set(re.findall(r"\.(?:map|filter|all|exists|exists_one)\(\s*(\w+)\s*,", text))
    for name in sorted(set(program.variables()) - ROOTS - bound):
        raise ExpressionError(f'unknown name "{name}"', hint=_name_hint(name, text))
    for name in sorted(set(program.functions()) - FUNCTIONS):
        if name.isidentifier() and not name.startswith("_") and name not in _CEL_FUNCTIONS:
            hint = FOREIGN_FUNCTIONS.get(name) or did_you_mean(name, FUNCTIONS | _CEL_FUNCTIONS)
            raise ExpressionError(f'unknown function "{name}"', hint=hint)
    method = _METHOD_ALONE.search(bare)
    if method:
        raise ExpressionError(f'"{method.group(1)}" stands behind a text', hint=FOREIGN_FUNCTIONS[method.group(1)])


def _check_members(bare: str, scope: Scope) -> None:
    for member in _MEMBER.finditer(bare):
        _check_member(member.group(1), member.group(2) or member.group(4), scope)
    for found in _PART.finditer(bare):
        step, name = found.group(1) or found.group(3), found.group(5) or found.group(6) or found.group(8)
        if found.group(4) == "ports":
            _check_port(step, name, scope, is_number=found.group(5) is not None)
        elif found.group(5) is None:
            _check_output(step, name, scope)
    for found in _FIELD.finditer(bare):
        _check_field(found.group(1) or found.group(3), found.group(4) or found.group(6), scope)


_CEL_FUNCTIONS = frozenset(
    "size int uint double string bool bytes duration timestamp type contains startsWith endsWith matches map filter"
    " all exists exists_one has min max dyn in getFullYear getMonth getDate getHours getMinutes getSeconds".split()
)


_METHOD_ALONE = re.compile(r"(?<![\w.])(contains|startsWith|endsWith)\s*\(")


def _name_hint(name: str, text: str) -> str:
    if name in FOREIGN_NAMES:
        return FOREIGN_NAMES[name]
    dashed = re.search(rf"steps\.([\w]+(?:-[\w]+)*-{re.escape(name)})", text)
    if dashed:
        return f'a step whose name has "-" is written steps["{dashed.group(1)}"]'
    close = did_you_mean(name, ROOTS)
    if close.startswith("did you mean"):
        rest = re.search(rf"{re.escape(name)}(\.\w+)", text)
        return close.replace('"?', f'{rest.group(1)}"?') if rest else close
    return "the names are args, envs, steps, run and node"


def _check_member(root: str, name: str, scope: Scope) -> None:
    if root == "envs" and name in scope.secrets:
        message = (
            f'"envs.{name}" is a secret, which only stands for a whole variable of a container, or in its commands'
        )
        raise ExpressionError(message, hint=f'write environment: {{{name}: "${{{{ envs.{name} }}}}"}}')
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


def _check_port(step: str, name: str, scope: Scope, *, is_number: bool) -> None:
    known = scope.ports.get(step)
    if is_number:
        raise ExpressionError("the name of a port is a text", hint=f'write steps["{step}"].ports["{name}"]')
    if known is not None and name not in known:
        hint = did_you_mean(name, known) or f'add "ports" to its container, as {{name: {name}, target: 80}}'
        raise ExpressionError(f'step "{step}" publishes no port "{name}"', hint=hint)


def _check_field(step: str, field: str, scope: Scope) -> None:
    if step in scope.steps and field == "ports" and step not in scope.ports:
        message = f'step "{step}" is no service: nothing of it is published any more when it has ended'
        raise ExpressionError(message, hint="write type: service, or take its outputs")
    if step not in scope.steps or field in STEP_FIELDS:
        return
    hint = did_you_mean(field, STEP_FIELDS)
    raise ExpressionError(f'a step has no "{field}"', hint=hint)


def is_dynamic(text: str, *, in_cell: bool = False) -> bool:
    """True when an expression can only be known while the run goes on: it reads steps, the run's status, or a cell."""
    program = compile_expression(text).written
    names = set(program.variables())
    progressing = ({"steps"} if in_cell else {"steps", "matrix"}) & names or STATUS_FUNCTIONS & set(program.functions())
    return bool(progressing) or _reads_status(text, names)


def _reads_status(text: str, names: set[str]) -> bool:
    return "run" in names and "status" in text


def reads_args(text: str) -> set[str]:
    """The arguments that an expression names; ``*`` when it reads ``args`` in a way that names none."""
    return reads(text, "args")


def reads(text: str, root: str) -> set[str]:
    """The members of a root that an expression names; ``*`` when it reads the root in a way that names none."""
    bare = _STRING.sub(lambda found: found.group(1) or "''", text)
    members = [member for member in _MEMBER.finditer(bare) if member.group(1) == root]
    names = {member.group(2) or member.group(4) for member in members}
    mentioned = len(re.findall(rf"(?<![\w.]){root}\b", bare))
    return names if mentioned == len(members) else names | {"*"}


def uses_status_function(text: str) -> bool:
    return bool(STATUS_FUNCTIONS & set(compile_expression(text).written.functions()))
