"""A submission: the pipeline that somebody asks to run, with its arguments and its origin."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gamekeeper.errors import InvalidError


@dataclass(frozen=True)
class Submission:
    """A caller's request. It has one of ``yaml``, ``spec`` and ``pipeline`` (stored; with ``version`` or the newest).
    ``fingerprint`` identifies the request as a whole."""

    yaml: str | None = None
    spec: Any = None
    pipeline: str | None = None
    version: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    envs: Mapping[str, Any] = field(default_factory=dict)
    node: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""

    def source(self) -> str:
        """The pipeline as text, which JSON is too."""
        return self.yaml if self.yaml is not None else json.dumps(self.spec)

    def call(self) -> dict[str, Any]:
        return {"args": dict(self.args), "envs": dict(self.envs), "node": self.node}


@dataclass(frozen=True)
class Origin:
    """The origin of a run, beside a person: an earlier run, a step of another run, or a schedule. ``started_by`` is the
    id of the workflow that begins it, and ``caller`` the actor who asked for it, by whom nodes judge its containers.
    ``owner`` is the same by their id."""

    rerun_of: str | None = None
    parent_run: str | None = None
    parent_step: str | None = None
    schedule: str | None = None
    started_by: str | None = None
    callers: tuple[str, ...] = ()
    caller: str = ""
    owner: str = ""


def new_run_id() -> str:
    """Sorts by time, fits a container's name: seconds in hexadecimal, then 32 random bits."""
    return f"{int(time.time()):08x}{secrets.token_hex(4)}"


def check_one_source(submission: Submission) -> None:
    """Raises InvalidError unless exactly one of the three ways to give a pipeline is used."""
    given = [source for source in (submission.yaml, submission.spec, submission.pipeline) if source is not None]
    if len(given) != 1:
        raise InvalidError(
            'give the pipeline as one of "yaml" (text), "spec" (an object) and "pipeline" (a stored one)'
        )
    if submission.version is not None and submission.pipeline is None:
        raise InvalidError('"version" is of a stored pipeline', hint='give "pipeline" too')
