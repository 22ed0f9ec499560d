"""Checks at submission that the secrets that a pipeline or an instance names are there, and that it may have them.

A node's question is checked again: this is for a clear word at the right line, before anything starts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.secret.values import trouble_of
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.secret import SecretRepository
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.named_secret import NamedSecret
from gamekeeper.domain.language.problem import Path, ProblemList
from gamekeeper.domain.language.resolved import ResolvedPipeline, ResolvedStep
from gamekeeper.domain.language.script import VARIABLE
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.secret.use import SecretUse, UserKind


def named_by(container: Container) -> set[str]:
    """All that it names, that of its pull as well."""
    return {*container.secret_names, *([container.pull.secret] if container.pull is not None else [])}


def named_by_run(resolved: ResolvedPipeline) -> set[str]:
    return {name for step in resolved.all_steps() if step.container is not None for name in named_by(step.container)}


async def check_run(
    session: AsyncSession,
    resolved: ResolvedPipeline,
    nodes: Sequence[NodeRow],
    document: Document,
    problems: ProblemList,
) -> None:
    """Adds a problem for each secret that a step can't have, and for one of the envs that is not there at all."""
    names = named_by_run(resolved) | set(resolved.declared_secrets.values())
    if not names:
        return
    found = await SecretRepository(session).current(names)
    missing = {env: name for env, name in resolved.declared_secrets.items() if name not in found}
    for env, name in missing.items():
        _add(problems, ("envs", env), trouble_of(name, None, SecretUse(UserKind.RUN_STEP), is_placed=False))
    labels = {row.id: dict(row.labels) for row in nodes}
    for path, name, use in _uses(resolved, labels, document):
        if name not in missing.values():  # told already, where it is declared
            _add(problems, path, trouble_of(name, found.get(name), use, is_placed=bool(use.node)))


def _uses(
    resolved: ResolvedPipeline, labels: Mapping[str, Mapping[str, str]], document: Document
) -> Iterator[tuple[Path, str, SecretUse]]:
    for key, steps in (("steps", resolved.steps), ("finally", resolved.finally_)):
        for index, step in enumerate(steps):
            if step.container is not None:
                use = _use_of(step, resolved.name, labels)
                for path, name in _places(step.container, document, (key, index, "container")):
                    yield path, name, use


async def check_instance(
    session: AsyncSession,
    container: Container,
    instance: str,
    pipeline: str,
    node: NodeRow,
    document: Document,
    problems: ProblemList,
) -> None:
    """Adds a problem for each secret that an instance of that node can't have."""
    names = named_by(container)
    if not names:
        return
    use = SecretUse(UserKind.INSTANCE, pipeline, instance, node.id, dict(node.labels))
    found = await SecretRepository(session).current(names)
    for path, name in _places(container, document, ("container",)):
        _add(problems, path, trouble_of(name, found.get(name), use, is_placed=True))


def _use_of(step: ResolvedStep, pipeline: str, labels: Mapping[str, Mapping[str, str]]) -> SecretUse:
    of_node = labels.get(step.node, {})
    if step.instance is not None:
        return SecretUse(UserKind.INSTANCE, pipeline, step.instance.id, step.node, of_node)
    return SecretUse(UserKind.RUN_STEP, pipeline, node=step.node, node_labels=of_node, step=step.name)


def _add(problems: ProblemList, path: Path, trouble: Any) -> None:
    if trouble is not None:
        problems.add(path, "secret", trouble.message, trouble.hint)


def _places(container: Container, document: Document, path: Path) -> Iterator[tuple[Path, str]]:
    """Each secret with the path at which it was written."""
    written = _written(document.value, path)
    for item in container.secrets:
        yield (*path, *_place_of(item, written)), item.secret
    if container.pull is not None:
        yield (*path, "pull", "secret"), container.pull.secret


def _place_of(item: NamedSecret, written: Mapping[str, Any]) -> Path:
    given = written.get("secrets")
    for index, entry in enumerate(given if isinstance(given, list) else []):
        name = entry.get("secret") if isinstance(entry, dict) else entry
        if name == item.secret and (not isinstance(entry, dict) or entry.get("env") == item.env):
            return "secrets", index
    if item.env is None:
        return ("secrets",)
    if item.env.startswith(VARIABLE):
        return ("commands",)
    environment = written.get("environment")
    return ("environment", item.env) if isinstance(environment, Collection) else ("environment",)


def _written(value: Any, path: Path) -> Mapping[str, Any]:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return value if isinstance(value, Mapping) else {}
