"""The policy of a node as that node itself has it: the owner's file, as it is now."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.judgement import NOBODY, Subject, Violation
from gamekeeper.domain.node.policy import Defaults


class OwnPolicy(Protocol):
    def violations(self, container: Container, subject: Subject = NOBODY) -> list[Violation]:
        """The parts of the container that the policy forbids now, with the values of all its templates. Idempotent.
        Blocks for a look at a small file, and at the devices that it names."""
        ...

    def default_limits(self) -> Defaults:
        """The limits of instances that name none. Idempotent. Blocks as the other does."""
        ...

    def model_dump_json(self) -> str:
        """The policy as it is reported. Idempotent. Blocks as the other does."""
        ...
