"""Reads the node's own policy file, and writes it once: from the template of the join key, where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from agent_worker.machine.devices import device_files
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.domain.node.judgement import NOBODY, Subject, Violation
from gamekeeper.domain.node.policy import Defaults, NodePolicy
from gamekeeper.domain.node.policy_text import policy_document
from gamekeeper.errors import InvalidError
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)


HEAD = "# Written once, from the template of the join key. It is yours to change; no message does.\n"


def load_policy(path: Path) -> NodePolicy:
    """The strict defaults where there is no file. Raises InvalidError that names the file and the key.

    A file that can't be read stops the agent: going on with other rules than its owner wrote would be worse.
    """
    if not path.exists():
        return NodePolicy()
    try:
        return NodePolicy.model_validate(policy_document(path.read_bytes(), path))
    except ValidationError as error:
        raise InvalidError(f"{path}: {first_words(error)}", hint="see docs/node-policy.md") from error
    except OSError as error:
        raise InvalidError(f"{path}: {error.strerror}", hint="see docs/node-policy.md") from error


class PolicyFile:
    """The file as it is now: a change holds from the next container on, and what runs goes on. It satisfies the port.

    While the file can't be read nothing is allowed to start, for the reason for which such a file stops an agent.
    """

    def __init__(self, path: Path) -> None:
        """Raises InvalidError for a file that can't be read."""
        self._path = path
        self._mark = _mark(path)
        self._policy = load_policy(path)
        self._fault = ""
        self._warn()

    def violations(self, container: Container, subject: Subject = NOBODY) -> list[Violation]:
        self._look()
        if self._fault:
            return [Violation((), f"{self._fault}; nothing is started until it can be read")]
        return self._policy.violations(container, subject, on_node=True, files_of=device_files)

    def default_limits(self) -> Defaults:
        """Those of the newest policy that could be read."""
        self._look()
        return self._policy.defaults

    def model_dump_json(self) -> str:
        """The newest policy that could be read."""
        self._look()
        return self._policy.model_dump_json()

    def _look(self) -> None:
        mark = _mark(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._policy, self._fault = load_policy(self._path), ""
            log.info("the policy is %s now: %s was changed", self._policy.revision, self._path)
            self._warn()
        except InvalidError as error:
            self._fault = str(error)
            log.error("nothing new is started: %s", error)

    def _warn(self) -> None:
        for place, words in self._policy.warnings():
            log.warning("%s, %s: %s", self._path, ".".join(map(str, place)), words)


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Differs when the file was changed; None without one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def keep_template(path: Path, template: Mapping[str, Any]) -> None:
    """Writes the template as the policy file where there is none: the machine's own file always wins.

    Raises InvalidError for a template that this agent doesn't understand, UnavailableError on a full disk.
    """
    if path.exists():
        log.info("the join key's policy is not taken: this machine has its own, %s", path)
        return
    try:
        NodePolicy.model_validate(template)
    except ValidationError as error:
        hint = f"upgrade the agent, or write {path} yourself"
        raise InvalidError(f"the join key's policy can't be used here: {first_words(error)}", hint=hint) from error
    write_whole(path, HEAD + yaml.safe_dump(dict(template), sort_keys=False))
    log.info("the join key's policy is this node's now: %s", path)
