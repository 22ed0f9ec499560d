"""The scope of a secret: who may name it, and where its value may go. Pure, so that one table tests all of it.

Who: pipelines by their names, instances by their ids. Where: nodes by their ids and by their labels. In every pattern
``*`` stands for any characters, also for none, and nothing else has a meaning.

1. A scope without any pattern lets nobody name the secret.
2. Where pipelines or instances are given, the user's pipeline or its instance has to match one of them.
3. Where nodes are given, the node has to match one of them. Where labels are given, the node has to have them all.
4. A kind of pattern that is left out bounds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gamekeeper.domain.secret.use import SecretUse

MAX_PATTERNS = 50
MAX_LABELS = 16
_NAME_PATTERN = re.compile(r"[a-z0-9*-]{1,63}")
_LABEL_PATTERN = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{0,255}")


def _name_pattern(text: str) -> str:
    if not _NAME_PATTERN.fullmatch(text):
        raise ValueError('a pattern has 1 to 63 of a-z, 0-9, "-" and "*", as arena-*')
    return text


def _label_patterns(labels: dict[str, str]) -> dict[str, str]:
    for key, pattern in labels.items():
        if not key or len(key) > 63 or not _LABEL_PATTERN.fullmatch(key) or not _LABEL_PATTERN.fullmatch(pattern):
            raise ValueError("a label is a key of 1 to 63 characters and a pattern of up to 255 for its value")
    return labels


Patterns = Annotated[list[Annotated[str, AfterValidator(_name_pattern)]], Field(max_length=MAX_PATTERNS)]
LabelPatterns = Annotated[dict[str, str], Field(max_length=MAX_LABELS), AfterValidator(_label_patterns)]


class SecretScope(BaseModel):
    """The patterns of a scope. An empty one lets nobody name the secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipelines: Patterns = Field(default_factory=list, description="Pipelines: their runs, and the instances they made")
    instances: Patterns = Field(default_factory=list, description="Instances, by their ids")
    nodes: Patterns = Field(default_factory=list, description="Nodes to which the value may go, by their ids")
    labels: LabelPatterns = Field(
        default_factory=dict, description="Labels that a node must have for the value to go there: key and pattern"
    )

    @property
    def is_empty(self) -> bool:
        return not (self.pipelines or self.instances or self.nodes or self.labels)


EVERYTHING = SecretScope(nodes=["*"])


def who_may(scope: SecretScope, use: SecretUse) -> bool:
    """True where the pipeline or the instance may name the secret, as far as is known before there is a node."""
    if scope.is_empty:
        return False
    if not scope.pipelines and not scope.instances:
        return True
    return _is_among(use.pipeline, scope.pipelines) or _is_among(use.instance, scope.instances)


def may_go_there(scope: SecretScope, use: SecretUse) -> bool:
    """True where the value may go to the node of the use."""
    if scope.nodes and not _is_among(use.node, scope.nodes):
        return False
    return all(key in use.node_labels and _fits(use.node_labels[key], pattern) for key, pattern in scope.labels.items())


def may_have(scope: SecretScope, use: SecretUse) -> bool:
    """True where this user may have the value on this node."""
    return bool(use.node) and who_may(scope, use) and may_go_there(scope, use)


def _is_among(name: str, patterns: Iterable[str]) -> bool:
    return bool(name) and any(_fits(name, pattern) for pattern in patterns)


def _fits(text: str, pattern: str) -> bool:
    plain = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(text, plain)
