"""Builders of test data: every field has a default, so a test names only what it is about."""

from __future__ import annotations

import secrets
from typing import Any

from gamekeeper.domain.access.access import access_of
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.resolve import Call, resolve
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.language.source import Document, parse_text
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.domain.run.step import RunStepInput
from gamekeeper.ports.container_engine import NewContainer, Ownership

EVERYTHING = access_of("key:tests", Role.ADMIN)


def make_run_id() -> str:
    return secrets.token_hex(6)


def make_key(**overrides: Any) -> StepKey:
    fields: dict[str, Any] = {"run_id": make_run_id(), "step": "build", "try_": 1}
    return StepKey(**(fields | overrides))


def make_owner(**overrides: Any) -> Ownership:
    fields: dict[str, Any] = {"key": make_key(), "node": "node-1", "pipeline": "test"}
    return Ownership(**(fields | overrides))


def step_of(owner: Ownership) -> StepKey:
    """The step of a container that belongs to one."""
    assert isinstance(owner.key, StepKey)
    return owner.key


def make_container(**overrides: Any) -> Container:
    return Container(**({"image": "image"} | overrides))


def make_new_container(owner: Ownership | None = None, **spec: Any) -> NewContainer:
    return NewContainer(owner=owner or make_owner(), spec=make_container(**spec))


def make_step_input(**overrides: Any) -> RunStepInput:
    fields = {
        "key": make_key(),
        "node": "node-1",
        "pipeline": "test",
        "container": make_container(),
        "timeout": 60.0,
    }
    return RunStepInput(**(fields | overrides))


def make_pipeline(*steps: dict[str, Any], node: str = "node-1", **fields: Any) -> ResolvedPipeline:
    """A resolved pipeline of steps given as the language writes them; a step without a container gets one."""
    image = {"container": {"image": "image"}}
    full = [step if step.get("type") in ("approval", "pipeline") else image | step for step in steps]
    finals = [image | step for step in fields.pop("finally_", [])]
    call = Call(node=node, run_id="run", args=fields.pop("given", {}))
    spec = {"name": "test", "steps": full, **({"finally": finals} if finals else {}), **fields}
    return resolve(Document(spec), call)


def resolve_text(text: str, **call: Any) -> ResolvedPipeline:
    return resolve(parse_text(text), Call(**({"node": "node-1", "run_id": "run"} | call)))


def make_console(*command: str, tty: bool = False) -> ConsoleRequest:
    return ConsoleRequest("id", make_key(), command, tty, ConsoleSize(100, 30))
