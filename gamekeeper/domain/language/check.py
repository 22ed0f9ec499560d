"""The rules of the language between its parts: every problem at once, each at its line.

Three layers: the text (``source.py``), each value (the models), and here what no single value shows: names, needs,
expressions, what this version does not execute yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from gamekeeper.domain.language.arguments import check_declared
from gamekeeper.domain.language.check_step import NOT_YET, check_step
from gamekeeper.domain.language.expressions import (
    ExpressionError,
    Scope,
    check_expression,
    find_expressions,
    whole_expression,
)
from gamekeeper.domain.language.graph import Ancestors, find_cycle
from gamekeeper.domain.language.matrix import SPECIAL
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.pipeline import Pipeline
from gamekeeper.domain.language.placed_step import Placed, place_steps
from gamekeeper.domain.language.problem import Path, Problem, ProblemList, did_you_mean
from gamekeeper.domain.language.read_model import read_pipeline
from gamekeeper.domain.language.secret_expressions import env_of
from gamekeeper.domain.language.source import Document, refuse_broken_text
from gamekeeper.domain.language.step import StepType, Until
from gamekeeper.domain.language.warnings import find_warnings
from gamekeeper.errors import SpecError


class Checked(NamedTuple):
    """A pipeline without a problem, its steps, and what is right and yet probably not meant."""

    pipeline: Pipeline
    placed: list[Placed]
    warnings: list[Problem]


def check_document(document: Document) -> Checked:
    """The pipeline in a document. Raises SpecError with all problems found."""
    problems = ProblemList(document.positions)
    refuse_broken_text(document.value, problems)
    pipeline = read_pipeline(document.value, problems)
    if pipeline is None:
        raise SpecError(_in_order(problems.problems))
    placed = place_steps(pipeline)
    rules = ProblemList(document.positions)
    _check_pipeline(pipeline, rules)
    _check_names(placed, rules)
    _check_needs(placed, rules)
    for item in placed:
        check_step(item, rules)
    _check_expressions(pipeline, placed, rules)
    problems.problems += _unrelated(rules.problems, problems.problems)
    if problems.problems:
        raise SpecError(_in_order(problems.problems))
    find_warnings(document.value, placed, problems)
    return Checked(pipeline, placed, _in_order(problems.warnings))


def _in_order(problems: list[Problem]) -> list[Problem]:
    """By their lines: the models' own order means nothing to a reader."""
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _unrelated(found: list[Problem], known: list[Problem]) -> list[Problem]:
    """The problems of the rules that are no consequence of a wrong value: neither it nor a part or whole of it."""
    return [problem for problem in found if not any(_covers(problem.path, other.path) for other in known)]


def _covers(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long == short or (long.startswith(short) and long[len(short)] in ".[")


def _check_pipeline(pipeline: Pipeline, problems: ProblemList) -> None:
    if pipeline.defaults.disconnect is not None:
        problems.add(("defaults", "disconnect"), "not_supported", f'"disconnect" {NOT_YET}', "remove the key")
    for index, step in enumerate(pipeline.steps):
        if step.pipeline is not None and step.pipeline.name == pipeline.name:
            message = f"a pipeline that calls itself never ends: {pipeline.name} -> {pipeline.name}"
            problems.add(("steps", index, "pipeline", "name"), "cycle", message, "call another one")
    for name, arg in pipeline.args.items():
        check_declared(name, arg, problems)


def _check_names(placed: list[Placed], problems: ProblemList) -> None:
    lines: dict[str, int] = {}
    for item in placed:
        name, line = item.step.name, problems.position((*item.path, "name"))[0]
        if name in lines:
            where = f" (lines {lines[name]}, {line})" if line else ""
            problems.add((*item.path, "name"), "duplicate", f'two steps are named "{name}"{where}')
        lines.setdefault(name, line)


def _check_needs(placed: list[Placed], problems: ProblemList) -> None:
    finals = {item.step.name for item in placed if item.is_finally}
    regular = {item.step.name for item in placed if not item.is_finally}
    types = {item.step.name: item.step.type for item in placed}
    for item in placed:
        if problems.is_full:
            return
        same = finals if item.is_finally else regular
        for need in item.needs:
            if need in same:
                _check_until(item, need, types[need], problems)
                continue
            path = (*item.path, "needs")
            if need in finals:
                problems.add(path, "finally", f'"{need}" is a finally step; finally steps cannot be needed')
            else:
                kind = "finally step" if item.is_finally else "step"
                problems.add(path, "unknown", f'"{need}" is not a {kind}', did_you_mean(need, same))
    unique = len(types) == len(placed)  # else the second of a name would seem to need itself
    cycle = find_cycle({item.step.name: item.needs for item in placed}) if unique else None
    if cycle:
        first = next(item for item in placed if item.step.name == cycle[0])
        problems.add((*first.path, "needs"), "cycle", f"needs forms a cycle: {' -> '.join(cycle)}")


def _check_until(item: Placed, need: str, needed: StepType, problems: ProblemList) -> None:
    """The long form's word fits what is needed."""
    until = None if item.step.needs is None else item.step.needs[need]
    path = (*item.path, "needs", need)
    if until is not None and (until is Until.SUCCEEDED) == (needed is StepType.SERVICE):
        right = Until.HEALTHY if needed is StepType.SERVICE else Until.SUCCEEDED
        message = f'"{need}" is of type {needed}, which is never {until}'
        problems.add(path, "needs", message, f"write {need}: {right}")


def _check_expressions(pipeline: Pipeline, placed: list[Placed], problems: ProblemList) -> None:
    above = Ancestors({item.step.name: item.needs for item in placed})
    regular = frozenset(item.step.name for item in placed if not item.is_finally)
    names = (frozenset(pipeline.args), frozenset(pipeline.envs))
    secrets = frozenset(pipeline.secrets)
    outputs = {item.step.name: frozenset(item.outputs) for item in placed}
    ports = {item.step.name: item.port_keys for item in placed if item.step.type is StepType.SERVICE}
    for item in placed:
        readable = above.of(item.step.name) | (regular if item.is_finally else frozenset())
        scope = Scope(*names, steps=readable, outputs=outputs, ports=ports, secrets=secrets)
        _check_step_expressions(item, scope, problems)
    static = {"labels": pipeline.labels, "timeout": pipeline.timeout, "defaults": pipeline.defaults.model_dump()}
    static |= {"concurrency": pipeline.concurrency.model_dump()} if pipeline.concurrency else {}
    for key, value in static.items():
        _check_tree(value, (key,), Scope(*names, secrets=secrets), problems)


def _check_step_expressions(item: Placed, scope: Scope, problems: ProblemList) -> None:
    step, path = item.step, item.path
    if step.if_ is not None:
        _check_one(whole_expression(step.if_) or step.if_, (*path, "if"), scope, problems)
    _check_tree(step.matrix, (*path, "matrix"), scope, problems)
    if step.approval is not None:
        _check_tree(step.approval.message, (*path, "approval", "message"), scope, problems)
    axes = None if step.matrix is None else frozenset(_axes_of(step.matrix))
    for part in ("container", "pipeline"):
        if (given := getattr(step, part)) is not None:
            _check_tree(given.model_dump(exclude_defaults=True), (*path, part), replace(scope, matrix=axes), problems)
    for key in ("node", "instance", "auto_revert", "timeout", "priority", "max_parallel", "fail_fast"):
        value = getattr(step, key)
        if isinstance(value, NodeSelector):
            value = value.model_dump()
        if isinstance(value, str | dict):
            _check_tree(value, (*path, key), Scope(scope.args, scope.envs, secrets=scope.secrets), problems)


def _axes_of(matrix: Mapping[str, Any]) -> set[str]:
    included = matrix.get("include")
    entries = included if isinstance(included, list) else []
    return {name for name in matrix if name not in SPECIAL} | {name for entry in entries for name in entry}


def _check_tree(value: Any, path: Path, scope: Scope, problems: ProblemList) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_tree(item, (*path, key), scope, problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_tree(item, (*path, index), scope, problems)
    elif isinstance(value, str) and "${{" in value:
        _check_text(value, path, scope, problems)


def _check_text(value: str, path: Path, scope: Scope, problems: ProblemList) -> None:
    found = list(find_expressions(value))
    if not found:
        problems.add(path, "expression", f'"{value}" has "${{{{" without "}}}}"', 'close it with "}}"')
    for expression in found:
        if not _is_given_as_secret(value, expression, path, scope):
            _check_one(expression, path, scope, problems)


def _is_given_as_secret(text: str, expression: str, path: Path, scope: Scope) -> bool:
    """True where a secret may stand: as a whole variable of a container, or in its commands, which get a variable."""
    if env_of(expression) not in scope.secrets or path[2:3] != ("container",):
        return False
    return path[3:4] == ("commands",) or (path[3:4] == ("environment",) and whole_expression(text) is not None)


def _check_one(expression: str, path: Path, scope: Scope, problems: ProblemList) -> None:
    if problems.is_full:
        return
    try:
        check_expression(expression, scope)
    except ExpressionError as error:
        problems.add(path, "expression" if error.code == "invalid" else error.code, error.message, error.hint)
