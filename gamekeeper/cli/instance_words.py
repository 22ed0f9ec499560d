"""An instance in the words of the command line: options become the keys of a document, or change those of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gamekeeper.cli.options import pairs, read_file
from gamekeeper.errors import InvalidError


@dataclass(frozen=True)
class Words:
    """The options of a command; empty is what was not given."""

    image: str = ""
    command: list[str] | None = None
    port: list[str] | None = None
    env: list[str] | None = None
    volume: list[str] | None = None
    memory: str = ""
    cpus: str = ""
    restart: str = ""
    stop_command: str = ""
    ready_within: str = ""

    @property
    def are_given(self) -> bool:
        return bool(self.parts)

    @property
    def parts(self) -> list[str]:
        """The parts of a revision that they change."""
        container = (self.image, self.command, self.port, self.env, self.volume, self.memory, self.cpus)
        given = {"container": container, "stop": (self.stop_command,), "ready": (self.ready_within,)}
        given |= {"restart": (self.restart,)}
        return [part for part, values in given.items() if any(values)]


def fields_of(words: Words, before: dict[str, Any]) -> dict[str, Any]:
    """The document ``before`` with the words over it."""
    body = dict(before)
    if "container" in words.parts:
        body["container"] = _container(words, dict(body.get("container") or {}))
    if words.stop_command:
        body["stop"] = dict(body.get("stop") or {}) | {"command": words.stop_command}
    if words.ready_within:
        body["ready"] = dict(body.get("ready") or {}) | {"within": words.ready_within}
    if words.restart:
        policy, _, attempts = words.restart.partition(":")
        body["restart"] = dict(body.get("restart") or {}) | {"policy": policy}
        body["restart"] |= {"attempts": attempts} if attempts else {}
    return body


def _container(words: Words, container: dict[str, Any]) -> dict[str, Any]:
    given = {"image": words.image, "command": words.command, "ports": words.port, "volumes": words.volume}
    container |= {key: value for key, value in given.items() if value}
    if words.env:
        before = container.get("environment") or {}
        known = pairs(before, "environment") if isinstance(before, list) else dict(before)
        container["environment"] = known | pairs(words.env, "--env")
    limits = {key: value for key, value in (("memory", words.memory), ("cpus", words.cpus)) if value}
    if limits:
        deploy = dict(container.get("deploy") or {})
        resources = dict(deploy.get("resources") or {})
        resources["limits"] = dict(resources.get("limits") or {}) | limits
        container["deploy"] = deploy | {"resources": resources}
    return container


def document(file: Path, *, keep_text: bool = False) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. With ``keep_text`` the server reads the text, and tells of its lines.

    Raises SpecError, and InvalidError for a file that can't be read.
    """
    from gamekeeper.domain.language.source import parse_text

    text = read_file(file)
    if keep_text:
        return {"yaml": text}
    value = parse_text(text, what="instance").value
    if not isinstance(value, dict):
        raise InvalidError(f"{file} is no instance", hint="write keys: image stands below container")
    plain: dict[str, Any] = _as_json(value)
    return plain


def _as_json(value: Any) -> Any:
    """Values as they were written: only true, false and nothing are more than text, for a number may be a version."""
    from gamekeeper.domain.language.source import Plain, core_value

    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, Plain):
        read = core_value(value)
        return read if isinstance(read, bool) or read is None else str(value)
    return value
