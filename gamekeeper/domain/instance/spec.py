"""The spec of an instance's revision: the container, and how it gets ready, stops, and comes up again.

A revision never changes: an update makes the next one. Strings hold no templates any more.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.given_port import as_asked
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.language.values import Duration, Texts, Whole

READY_WITHIN = "5m"
HOOK_TIMEOUT = "30s"


class RestartPolicy(StrEnum):
    """The process is started again: after a crash, after every end, or never."""

    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    NO = "no"


class Ready(Model):
    """The time limit of a start. An instance is ready when its health check passes, or it stays up for a moment."""

    within: Duration = Field(default=READY_WITHIN, description="Time limit from the start until it is ready")


class Stop(Model):
    """The first rung of the ladder. TERM follows after ``grace``, and KILL after that."""

    command: str | None = Field(default=None, description="Line for the console, as `stop`; then no signal is sent")
    signal: str | None = Field(default=None, description="Signal, by default the container's or the image's own")
    grace: Duration | None = Field(default=None, description="Time for it to end; default: stop_grace_period")


class Hook(Model):
    """A command inside the running container."""

    command: Texts
    timeout: Duration = HOOK_TIMEOUT


class StopHook(Hook):
    """``hold``: a hook that fails keeps the instance running."""

    hold: bool = False


class Hooks(Model):
    post_start: Hook | None = Field(default=None, description="Runs once the process has started, before it is ready")
    pre_stop: StopHook | None = Field(default=None, description="Runs before the process is asked to stop")


class Restart(Model):
    """The budget of crashes: more than ``attempts`` within ``window`` are a crash loop."""

    policy: RestartPolicy = RestartPolicy.ON_FAILURE
    attempts: Whole = Field(default=5, description="Crashes within the window before it is a crash loop")
    window: Duration = "10m"


class InstanceSpec(Model):
    """All that one revision of an instance is made of."""

    container: Container
    ready: Ready = Field(default_factory=Ready)
    stop: Stop = Field(default_factory=Stop)
    hooks: Hooks = Field(default_factory=Hooks)
    restart: Restart = Field(default_factory=Restart)
    group: str | None = Field(default=None, description="Instances of a group reach each other by their names")
    aliases: list[str] = Field(default_factory=list, description="Further host names of it in its group")
    asked_ports: list[str] = Field(
        default_factory=list, description="The ports as they were asked for, where the node chose numbers"
    )

    @property
    def asked(self) -> InstanceSpec:
        """The spec without the numbers that the node chose."""
        container = as_asked(self.container, self.asked_ports)
        return self.model_copy(update={"container": container, "asked_ports": []})

    @property
    def grace(self) -> timedelta:
        return parse_duration(self.stop.grace or self.container.stop_grace_period)

    @property
    def crash_window(self) -> timedelta:
        return parse_duration(self.restart.window)

    @property
    def ready_within(self) -> timedelta:
        return parse_duration(self.ready.within)
