"""Words that are kept with a container: the question that the policy of its node was asked about it.

A container may outlive the step or the order that it was made for, and the policy may be another one by then. So it is
asked again, by these words, before anything new starts in the container. What no policy asks about is left out:
environments and commands may hold secrets.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.judgement import Subject

ASKED_ABOUT = frozenset(
    "image user group_add labels privileged network_mode pid ipc runtime shm_size sysctls oom_score_adj extra_hosts"
    " volumes ports tmpfs devices device_cgroup_rules gpus cap_add security_opt deploy".split()
)


@dataclass(frozen=True)
class Judged:
    """A container as it was asked for, before its node's defaults, and who asked."""

    container: Container
    subject: Subject

    def to_label(self) -> str:
        asked = Container.model_validate(self.container.model_dump(include=set(ASKED_ABOUT), exclude_unset=True))
        return _Label(container=asked, subject=self.subject).model_dump_json(exclude_unset=True)

    @classmethod
    def from_label(cls, text: str) -> Judged | None:
        """None for a container without such words, as an agent of an older version made it."""
        try:
            found = _Label.model_validate_json(text)
        except ValidationError:
            return None
        return cls(found.container, found.subject)


class _Label(BaseModel):
    model_config = ConfigDict(extra="forbid")

    container: Container
    subject: Subject
