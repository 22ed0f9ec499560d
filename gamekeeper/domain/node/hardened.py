"""Limits and confinement of a container that names none: the defaults of its node's policy."""

from __future__ import annotations

from gamekeeper.domain.language.container import Container, Ulimit
from gamekeeper.domain.node.policy import Defaults

NO_NEW_PRIVILEGES = "no-new-privileges"


def hardened(container: Container, defaults: Defaults, memory: str | None = None) -> Container:
    """``memory`` is for one whose policy names none. A container that says otherwise keeps its word: its policy was
    asked before. A privileged one is confined by nothing, so no capability is taken from it."""
    limits = container.deploy.resources.limits
    given = {
        "memory": limits.memory or defaults.memory or memory,
        "pids": limits.pids or defaults.pids,
        "cpus": limits.cpus or (str(defaults.cpus) if defaults.cpus else None),
    }
    resources = container.deploy.resources.model_copy(update={"limits": limits.model_copy(update=given)})
    changes = {
        "deploy": container.deploy.model_copy(update={"resources": resources}),
        "ulimits": {name: Ulimit(soft=most, hard=most) for name, most in defaults.ulimits.items()} | container.ulimits,
    }
    if container.privileged is not True:
        asked = {name.removeprefix("CAP_") for name in container.cap_add}
        has_all = "ALL" in asked or "ALL" in container.cap_drop
        dropped = [] if has_all else [name for name in defaults.cap_drop if name not in asked]
        changes["cap_drop"] = list(dict.fromkeys([*container.cap_drop, *dropped]))
        if defaults.no_new_privileges and not any(NO_NEW_PRIVILEGES in option for option in container.security_opt):
            changes["security_opt"] = [*container.security_opt, NO_NEW_PRIVILEGES]
    return container.model_copy(update=changes)
