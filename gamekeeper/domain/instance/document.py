"""An instance as a user writes it, in YAML or JSON: every problem at once, then the spec of its revision.

The words inside of ``container`` are the language's own. Nothing is filled in from outside, so a template is a problem.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from gamekeeper.domain.instance.own_volume import with_own_volumes
from gamekeeper.domain.instance.schedule import ScheduleDocuments
from gamekeeper.domain.instance.spec import Hooks, InstanceSpec, Ready, Restart, Stop
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.given_port import untold
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.problem import Path, Problem, ProblemList
from gamekeeper.domain.language.read_model import add_problems
from gamekeeper.domain.language.script import build_script
from gamekeeper.domain.language.source import Document, refuse_broken_text
from gamekeeper.domain.language.values import DNS_LABEL, Duration, Pairs, Text, as_text, wrong
from gamekeeper.domain.run.limits import encoded_size

MAX_SPEC_BYTES = 32 * 1024  # an order carries it, and so does the history of the instance's workflow
NOT_YET = {"strategy": "it belongs to an update: POST /instances/ID/update, or gamekeeper instance update --strategy"}
NO_REVISION = {"schedules": "they are no part of a revision: gamekeeper instance schedule set"}
Wanted = TypeVar("Wanted", bound=Model)


def _label(value: Any) -> str:
    text = as_text(value)
    if not DNS_LABEL.fullmatch(text):
        raise wrong("name", f'"{text[:80]}" is no id; write a-z, 0-9 and "-", up to 63, as arena-1')
    return text


def _node(value: Any) -> Any:
    """pydantic would tell the problems of both forms."""
    return NodeSelector.model_validate(value) if isinstance(value, dict) else value


Id = Annotated[str, BeforeValidator(_label)]


class RevisionDocument(Model):
    """The parts of a revision. A key that is left out of an update stays as it was."""

    container: Container | None = None
    ready: Ready | None = None
    stop: Stop | None = None
    hooks: Hooks | None = None
    restart: Restart | None = None
    group: Id | None = None


class InstanceDocument(RevisionDocument):
    """A new instance."""

    id: Id | None = None
    name: Text | None = None
    labels: Pairs = Field(default_factory=dict)
    node: Annotated[NodeSelector | Text | None, BeforeValidator(_node)] = None
    expires: Duration | None = None
    desired: Literal["running", "stopped"] = "running"
    schedules: ScheduleDocuments = Field(default_factory=list)


def read_document(document: Document, model: type[Wanted], problems: ProblemList) -> Wanted | None:
    """The document as ``model``; None when a problem keeps it from being one."""
    refuse_broken_text(document.value, problems)
    _refuse_templates(document.value, problems)
    try:
        return model.model_validate(document.value if document.value is not None else {})
    except ValidationError as error:
        found = ProblemList(document.positions)
        add_problems(error, document.value, model, (), found)
        problems.problems += [_in_other_words(problem) for problem in found.problems]
        return None


def _in_other_words(problem: Problem) -> Problem:
    """A problem of a key that users of Compose write beside the id, and that stands in the container here."""
    if problem.code != "unknown_key" or "." in problem.path:
        return problem
    if problem.path in NOT_YET:
        message, hint = f'"{problem.path}" is not supported yet', NOT_YET[problem.path]
        return problem.model_copy(update={"code": "not_supported", "message": message, "hint": hint})
    if problem.path in NO_REVISION:
        return problem.model_copy(update={"hint": NO_REVISION[problem.path]})
    if problem.path in Container.model_fields:
        return problem.model_copy(update={"hint": f"write it in the container: container: {{{problem.path}: ...}}"})
    return problem


def make_spec(found: RevisionDocument, instance: str, problems: ProblemList, before: InstanceSpec | None = None) -> Any:
    """The InstanceSpec of a revision; ``before`` has what the document leaves out. None when problems were added."""
    if found.container is None and before is None:
        problems.add(("container",), "missing", "is missing", 'add "container": {"image": "debian:12"}')
        return None
    given = {name: getattr(found, name) for name in ("ready", "stop", "hooks", "restart", "group")}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if found.container is not None:
        fields["container"] = _made_whole(found.container, instance, problems, before)
        if before is not None and before.asked_ports and fields["container"].ports != before.container.ports:
            fields["asked_ports"] = []
    if isinstance(fields.get("group"), str) and before is not None and before.group not in (None, fields["group"]):
        problems.add(("group",), "value", f'the instance is in group "{before.group}"', "make a new instance")
    spec = before.model_copy(update=fields) if before else InstanceSpec(**fields)
    size = encoded_size(spec)
    if size > MAX_SPEC_BYTES:
        message = f"the revision has {size} bytes of settings; the limit is {MAX_SPEC_BYTES}"
        problems.add(("container",), "too_large", message, "move long scripts into the image or a volume")
    return None if problems.problems else spec


def _made_whole(container: Container, instance: str, problems: ProblemList, before: InstanceSpec | None) -> Container:
    """The container with its commands as a script, and its volumes named for good."""
    if container.restart != "no":
        hint = "write it beside the container: restart: {policy: always}"
        problems.add(("container", "restart"), "restart", "the keeper starts an instance again, not Docker", hint)
    for name, value in container.environment.items():
        if value is None:
            message, hint = f'"{name}" has no value', "nothing is taken from a shell here; write the value"
            problems.add(("container", "environment", name), "missing", message, hint)
    if container.commands:
        script = build_script(container.commands)
        fields = {"commands": [], "entrypoint": ["/bin/sh"], "command": ["-ec", script.text]}
        container = container.model_copy(update=fields)
    if before is not None:  # one that is sent back as it was read has what its ports told it
        container = container.model_copy(update={"environment": untold(container.environment, before.container)})
    return with_own_volumes(container, instance, problems, before.container if before else None)


def _refuse_templates(value: Any, problems: ProblemList, path: Path = ()) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_templates(item, problems, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_templates(item, problems, (*path, index))
    elif isinstance(value, str) and "${{" in value:
        problems.add(path, "template", "an instance has no templates", "write the value itself")
