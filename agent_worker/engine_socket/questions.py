"""The questions that may be asked, read from the target of a request. All that is not named here is refused.

A target is held against whole patterns of plain characters and never decoded: a path with ``..``, ``//`` or ``%``
meets none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl

from agent_worker.engine_socket.shown import HIDDEN_LABELS

MAX_TARGET = 4096
MAX_FILTERS = 20
MAX_FILTER = 200
_ID = r"(?P<id>[A-Za-z0-9][A-Za-z0-9_.-]{0,200})"
_VERSION = re.compile(r"/v[0-9]{1,2}\.[0-9]{1,3}(?=/)")
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_FALSE = ("", "0", "no", "false", "none")  # as the engine reads it
_PATTERN = re.compile(r"[A-Za-z0-9_./^$*+?|-]*")
_PATTERNS = ("id", "name")  # the engine reads them as patterns, for each container anew: `.{1000}` costs it seconds


class Kind(StrEnum):
    PING = "ping"
    VERSION = "version"
    INFO = "info"
    CONTAINERS = "containers"
    CONTAINER = "container"
    EVENTS = "events"
    NETWORKS = "networks"
    NETWORK = "network"


_PATHS = {
    Kind.PING: re.compile("/_ping"),
    Kind.VERSION: re.compile("/version"),
    Kind.INFO: re.compile("/info"),
    Kind.CONTAINERS: re.compile("/containers/json"),
    Kind.CONTAINER: re.compile(f"/containers/{_ID}/json"),
    Kind.EVENTS: re.compile("/events"),
    Kind.NETWORKS: re.compile("/networks"),
    Kind.NETWORK: re.compile(f"/networks/{_ID}"),
}
_FILTERS = {
    Kind.CONTAINERS: frozenset(
        "ancestor exited expose health id is-task label name network publish status".split()
    ),  # of a container's own; `before` and the like would tell of others'
    Kind.EVENTS: frozenset("container event image label type".split()),
    Kind.NETWORKS: frozenset("driver id label name scope type".split()),
}


class RefusedError(Exception):
    """A question that nobody answers here. ``status`` is of HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Question:
    """``filters`` are the engine's words, of which all are known; ``since`` and ``until`` are Unix seconds."""

    kind: Kind
    id: str = ""
    filters: Mapping[str, list[str]] = field(default_factory=dict)
    everything: bool = False
    limit: int = 0
    since: str | None = None
    until: str | None = None


def read_question(method: str, target: str) -> Question:
    """Raises RefusedError."""
    path, _, query = target.partition("?")
    if method not in ("GET", "HEAD") or len(target) > MAX_TARGET:
        raise _not_here(method, path)
    bare = _VERSION.sub("", path, count=1) if _VERSION.match(path) else path
    for kind, pattern in _PATHS.items():
        if (match := pattern.fullmatch(bare)) is not None:
            return _with_query(kind, match.groupdict().get("id", ""), query)
    raise _not_here(method, path)


def _not_here(method: str, path: str) -> RefusedError:
    words = (
        f"{method[:20]} {path[:100]} is not answered here: this socket shows the containers of its own project alone"
    )
    return RefusedError(403, words)


def _with_query(kind: Kind, id_: str, query: str) -> Question:
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FILTERS))
        limit = int(given.get("limit") or 0) if len(given.get("limit", "")) < 10 else 0
    except ValueError as error:
        raise RefusedError(400, "the query can't be read") from error
    filters = _filters(given.get("filters", ""), _FILTERS.get(kind, frozenset()))
    if kind is Kind.EVENTS and "container" not in (filters.get("type") or ["container"]):
        raise RefusedError(403, "events are told of containers alone here")
    return Question(
        kind=kind,
        id=id_,
        filters=filters,
        everything=given.get("all", "").strip().lower() not in _FALSE or limit > 0,
        limit=max(0, limit),
        since=_time(given.get("since")),
        until=_time(given.get("until")),
    )


def _time(text: str | None) -> str | None:
    if not text:
        return None
    if not _TIME.fullmatch(text):
        raise RefusedError(400, "since and until are Unix seconds here")
    return text


def _filters(text: str, known: frozenset[str]) -> dict[str, list[str]]:
    """Both of the engine's spellings: ``{"label": ["a"]}`` and ``{"label": {"a": true}}``."""
    try:
        given = json.loads(text or "{}")
        found = {str(name): _values(values) for name, values in (given or {}).items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(400, "the filters can't be read") from error
    for name, values in found.items():
        _check_filter(name, values, known)
    return found


def _values(given: Any) -> list[str]:
    if not isinstance(given, list | dict) or not all(isinstance(value, str) for value in given):
        raise TypeError("neither a list nor a set of texts")
    return list(given)


def _check_filter(name: str, values: list[str], known: frozenset[str]) -> None:
    if name not in known:
        raise RefusedError(403, f"there is no filter {name[:40]} here")
    if len(values) > MAX_FILTERS or any(len(value) > MAX_FILTER for value in values):
        raise RefusedError(400, f"the filter {name} is too long")
    if name in _PATTERNS and not all(_PATTERN.fullmatch(value) for value in values):
        raise RefusedError(400, f"the filter {name} holds characters that are not taken here")
    if name == "label" and any(value.partition("=")[0] in HIDDEN_LABELS for value in values):
        raise RefusedError(403, "there is no such label here")
