"""Access: all that a caller may do, put together from their grants.

One question about one object is ``may``; the same question about a list is ``scope``, which SQL asks as well
(``gamekeeper.db.scope``). Both go by the same selectors, and a test holds them against each other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from gamekeeper.domain.access.grant import Grant, of_role
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ForbiddenError


@dataclass(frozen=True)
class Scope:
    """The objects of one kind to which somebody may do one thing. ``holder`` is who "one's own" is about."""

    kind: ObjectKind
    holder: str
    selectors: tuple[Selector, ...]

    @property
    def is_everything(self) -> bool:
        return any(selector.is_whole for selector in self.selectors)

    @property
    def is_nothing(self) -> bool:
        return not self.selectors

    def covers(self, target: Target) -> bool:
        return any(selector.fits(target, self.holder) for selector in self.selectors)


def everything(kind: ObjectKind) -> Scope:
    """The scope of the control plane itself."""
    return Scope(kind, "", (Selector(kind),))


ALL_NODES = everything(ObjectKind.NODE)
ALL_PIPELINES = everything(ObjectKind.PIPELINE)


@dataclass(frozen=True)
class Access:
    """``holder`` is the id of the user or the key, never a name: that can be given again. ``who`` is for messages."""

    holder: str
    grants: tuple[Grant, ...] = ()
    who: str = field(default="whoever asks", compare=False)

    def scope(self, verb: Verb, kind: ObjectKind) -> Scope:
        found = dict.fromkeys(
            grant.selector for grant in self.grants if verb in grant.verbs and grant.selector.is_about(kind)
        )
        return Scope(kind, self.holder, tuple(found))

    def may(self, verb: Verb, target: Target) -> bool:
        return self.scope(verb, target.kind).covers(target)

    def check(self, verb: Verb, target: Target, also: str = "") -> None:
        """Raises ForbiddenError."""
        if not self.may(verb, target):
            raise self.refusal(verb, target, also)

    def refusal(self, verb: Verb, target: Target | None = None, also: str = "") -> ForbiddenError:
        """Says which verb is missing, and who has it to give. ``also`` is what has to be known beside."""
        on = f" on {target}" if target is not None else ""
        options = f"--verb {verb}"
        if target is not None and target.id:
            options += f" --on {target.kind} --id {target.id}"
        return ForbiddenError(
            f'{self.who} lacks the verb "{verb}"{on}',
            hint=f"use a key of one of these roles: {', '.join(roles_with(verb))}"
            + (f"; {also}" if also else "")
            + f"; or an admin gives it: gamekeeper grant make {self.holder} {options}",
        )

    def may_any(self, verb: Verb) -> bool:
        """True for a verb that is held on anything at all."""
        return any(verb in grant.verbs for grant in self.grants)

    def verbs(self) -> frozenset[Verb]:
        """Those that are held on everything."""
        whole = [grant.verbs for grant in self.grants if grant.selector == Selector()]
        return frozenset().union(*whole)

    def verbs_on(self, target: Target) -> frozenset[Verb]:
        fitting = [grant.verbs for grant in self.grants if grant.selector.fits(target, self.holder)]
        return frozenset().union(*fitting)

    def has_role(self, role: str, target: Target) -> bool:
        """True for who may do to the object all that the role may."""
        needed = verbs_of(role)
        return bool(needed) and needed <= self.verbs_on(target)

    def can_give(self, verbs: Collection[Verb], selector: Selector) -> bool:
        """Nobody gives more than they have: each of the verbs, on each of the objects."""
        return all(any(verb in own.verbs and own.selector.includes(selector) for own in self.grants) for verb in verbs)

    def within(self, verbs: frozenset[Verb]) -> Access:
        """The same with no other verbs than these: a key of a user can do less than its user, and never more."""
        bounded = [replace(grant, verbs=grant.verbs & verbs) for grant in self.grants]
        return replace(self, grants=tuple(grant for grant in bounded if grant.verbs))


def access_of(holder: str, role: str, grants: tuple[Grant, ...] = (), who: str = "whoever asks") -> Access:
    """The role itself as a grant on everything, and what was granted beside it."""
    own = of_role(role)
    return Access(holder, (own, *grants) if own.verbs else grants, who)


def roles_with(verb: Verb) -> list[str]:
    """The names of the roles that have the verb."""
    return [role.value for role in Role if verb in verbs_of(role)]
