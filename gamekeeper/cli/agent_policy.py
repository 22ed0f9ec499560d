"""``agent policy``: a machine's policy file, checked and explained before an agent has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from gamekeeper.cli.output import say, warn
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.domain.node.explained import Decision, Place, explain
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.node.policy_text import policy_document
from gamekeeper.errors import InvalidError

_ARGUMENT = re.compile(r"\$\{\{\s*args\.([\w-]+)\s*\}\}")
PolicyPath = Annotated[Path, typer.Argument(help="Policy file", exists=True, dir_okay=False)]


def check(policy: PolicyPath) -> None:
    """Check a policy file, and show all that it allows."""
    found = _policy(policy, _document(policy))
    say(f"{policy} is right; its revision is {found.revision}")
    told = found.model_dump(mode="json", exclude_defaults=True)
    say(yaml.safe_dump(told, sort_keys=False).strip() if told else "it allows what the defaults allow")
    for place, words in found.warnings():
        warn(f"line {_line(policy, place)}, {'.'.join(map(str, place))}: {words}")


def explain_policy(
    policy: PolicyPath,
    file: Annotated[
        Path, typer.Argument(help="YAML of a container, an instance or a pipeline", exists=True, dir_okay=False)
    ],
    pipeline: Annotated[
        str, typer.Option(help="Name of the pipeline, for rules that ask for it; default: that of FILE")
    ] = "",
    instance: Annotated[
        str, typer.Option(help="Id of the instance, for rules that ask for it; default: that of FILE")
    ] = "",
    caller: Annotated[str, typer.Option(help="Who asks, as key:admin, for rules that ask for it")] = "",
) -> None:
    """Say which line of a policy file allows or refuses each part of a container. Exit code 1: something is refused."""
    document, asked = _document(policy), _document(file)
    _policy(policy, document)
    name, id_ = (asked.get("name"), None) if _is_pipeline(asked) else (None, asked.get("id"))
    subject = Subject(pipeline or str(name or ""), instance or str(id_ or ""), caller)
    refused = False
    for name, container in _containers(file, asked):
        say(f"{name}: {container.image}")
        decisions = explain(document, container, subject)
        refused = refused or any(decision.place is None and not _is_open(decision) for decision in decisions)
        for decision in decisions:
            say(f"  {_told(policy, decision)}")
    if refused:
        raise typer.Exit(1)


def _told(policy: Path, decision: Decision) -> str:
    part, place = decision.violation.message.removesuffix(" is not in the policy"), decision.place
    if _is_open(decision):
        return f"unknown  {part}: a run fills it in"
    if place is None:
        line = decision.violation.line
        return f"refused  {part}" + (f"; `{line}` would allow it" if line else "; no policy can allow it")
    where = f"line {_line(policy, place)}, {'.'.join(map(str, place))}" if place else "the defaults, or several lines"
    return f"allowed  {part}: {where}"


def _is_pipeline(asked: dict[str, Any]) -> bool:
    return "steps" in asked


def _is_open(decision: Decision) -> bool:
    return "${{" in decision.violation.message


def _line(policy: Path, place: Place) -> int:
    node: Any = yaml.compose(policy.read_text())
    mark = node.start_mark
    for name in place:
        if isinstance(name, int):
            node = node.value[name]
            mark = node.start_mark
        else:
            key, node = next(pair for pair in node.value if pair[0].value == name)
            mark = key.start_mark
    return int(mark.line) + 1


def _document(path: Path) -> dict[str, Any]:
    found = policy_document(path.read_bytes(), path)
    if not isinstance(found, dict):
        raise InvalidError(f"{path} is no mapping", hint="see docs/node-policy.md")
    return found


def _policy(path: Path, document: dict[str, Any]) -> NodePolicy:
    try:
        return NodePolicy.model_validate(document)
    except ValidationError as error:
        raise InvalidError(f"{path}: {first_words(error)}", hint="see docs/node-policy.md") from error


def _containers(path: Path, asked: dict[str, Any]) -> Iterator[tuple[str, Container]]:
    asked = _with_defaults(asked, _defaults(asked))
    steps = [step for step in [*(asked.get("steps") or []), *(asked.get("finally") or [])] if isinstance(step, dict)]
    found = [(str(step.get("name", "")), step["container"]) for step in steps if "container" in step]
    for name, given in found or [(str(asked.get("id") or path.name), asked.get("container", asked))]:
        try:
            yield name, Container.model_validate(given)
        except ValidationError as error:
            raise InvalidError(f"{path}, {name}: {first_words(error)}") from error


def _defaults(asked: dict[str, Any]) -> dict[str, str]:
    """The values of a pipeline's arguments where a run gives none."""
    given = asked.get("args")
    named = given.items() if isinstance(given, dict) else ()
    values = ((name, arg.get("default") if isinstance(arg, dict) else arg) for name, arg in named)
    return {str(name): str(value) for name, value in values if isinstance(value, str | int)}


def _with_defaults(value: Any, defaults: dict[str, str]) -> Any:
    if isinstance(value, str):
        return _ARGUMENT.sub(lambda found: defaults.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: _with_defaults(item, defaults) for key, item in value.items()}
    return [_with_defaults(item, defaults) for item in value] if isinstance(value, list) else value
