"""The line of a policy file that decided each part of a container: found by judging without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.judgement import Subject, Violation
from gamekeeper.domain.node.policy import Allowances, NodePolicy

Place = tuple[str | int, ...]  # of an entry in the file: its key, and its number in a list
_LISTS: dict[str, Any] = {
    name: [] for name, field in Allowances.model_fields.items() if "list" in str(field.annotation)
}
NOTHING: Mapping[str, Any] = {
    **_LISTS,
    "root": False,
    "host_gateway": False,
    "oom_score_adj": 1000,
    "engine_socket": "none",
}


@dataclass(frozen=True)
class Decision:
    """``violation`` names the part. It is allowed by the entry at ``place``; an empty place is the defaults, or several
    entries of which each would do. None stands for a part that is refused."""

    violation: Violation
    place: Place | None


def explain(document: Mapping[str, Any], container: Container, subject: Subject) -> list[Decision]:
    """All parts of a container about which a policy has anything to say. Raises as NodePolicy does for the document."""

    def judged(given: Mapping[str, Any]) -> dict[tuple[Any, ...], Violation]:
        found = NodePolicy.model_validate(given).violations(container, subject, on_node=True)
        return {(*violation.path, violation.message): violation for violation in found}

    refused = judged(document)
    decided: dict[tuple[Any, ...], Decision] = {key: Decision(item, None) for key, item in refused.items()}
    for place, without in _without_each(document):
        for key, violation in judged(without).items():
            decided.setdefault(key, Decision(violation, place))
    told = {decision.violation.path for decision in decided.values()}
    for key, violation in judged(NOTHING).items():
        if violation.path not in told:
            decided[key] = Decision(violation, ())
    return list(decided.values())


def _without_each(document: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Each entry of the file with the file without it. An empty list stays: a key that is left out has a default."""
    for key, value in document.items():
        if isinstance(value, list):
            for index in range(len(value)):
                yield (key, index), {**document, key: [*value[:index], *value[index + 1 :]]}
        elif key in NodePolicy.model_fields and key not in ("version", "defaults", "limits"):
            without = {name: other for name, other in document.items() if name != key}
            yield (key,), without | ({key: NOTHING[key]} if key in NOTHING else {})
