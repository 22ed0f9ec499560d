"""Abilities: what an agent does beyond the first version of all. It names them itself when a session begins.

The version does not tell them, since it stays the same between releases. Whoever would give an agent work that it does
not know refuses that at once and says why, instead of waiting for the agent's own words.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING

from gamekeeper.domain.language.lifetime import Strategy

if TYPE_CHECKING:
    from gamekeeper.domain.language.container import Container
    from gamekeeper.domain.language.resolved import ResolvedStep


class Ability(StrEnum):
    """INSTANCES: it keeps instances up. BLUE_GREEN: it brings a revision up beside the one before. CONSOLE_HISTORY: it
    begins consoles with the lines before; the server does it for those that don't, as well as it can. SECRETS: it asks
    for the secrets that a container names."""

    INSTANCES = "instances"
    BLUE_GREEN = "blue_green"
    CONSOLE_HISTORY = "console_history"
    SECRETS = "secrets"


_WITHOUT = {
    Ability.INSTANCES: "keeps no instances: upgrade it",
    Ability.BLUE_GREEN: "brings no revision up beside another: upgrade it, or write strategy: recreate",
    Ability.SECRETS: "gives no secrets to containers: upgrade it",
}


def abilities_for(step: ResolvedStep) -> frozenset[Ability]:
    """The abilities of the agent that a step asks for."""
    container = step.container
    named = {Ability.SECRETS} if container is not None and names_secrets(container) else set[Ability]()
    if step.instance is None:
        return frozenset(named)
    is_beside = step.instance.strategy is Strategy.BLUE_GREEN
    return frozenset({Ability.INSTANCES, *([Ability.BLUE_GREEN] if is_beside else []), *named})


def names_secrets(container: Container) -> bool:
    """True for a container that names a secret, or credentials for its pull."""
    return bool(container.secrets) or container.pull is not None


def missing(wanted: Collection[Ability], told: Collection[str] | None, version: str) -> str:
    """The words against an agent that lacks one; empty for one that has all. None was told by an agent that has not
    been there since this was asked: that is believed to keep instances, and no more."""
    known = [Ability.INSTANCES] if told is None else told
    short = next((ability for ability in Ability if ability in wanted and ability not in known), None)
    if short is None:
        return ""
    has = f"its agent ({version})" if version else "its agent"
    return f"{has} has not told what it can do yet" if told is None else f"{has} {_WITHOUT[short]}"
