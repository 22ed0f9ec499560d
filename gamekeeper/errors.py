"""The one error tree. Each edge (REST, gRPC, Temporal, CLI) translates it once, by ``kind``.

GamekeeperError
├── NotFoundError        not_found     the named thing does not exist
├── ConflictError        conflict      the thing's state forbids the request
│   ├── PreconditionError  precondition  If-Match or an epoch names an older version
│   ├── OtherPlaceError    conflict      a log ends elsewhere than its writer thinks
│   └── UnreadableError    conflict      its row is of a newer version, or damaged
├── InvalidError         invalid       the request itself is wrong, and stays wrong
│   ├── SpecError          invalid       a pipeline with its list of problems
│   ├── PolicyError        invalid       a node's policy file forbids what a step asks for
│   ├── MessageRefusedError invalid      a channel will never take a message, or may not be asked
│   └── TooLargeError      too_large     over a size limit
├── UnauthenticatedError unauthenticated  no key, or a wrong one
├── ForbiddenError       forbidden     a good key that may not do this
├── UnavailableError     unavailable   a part is away; the same call may work later
│   └── LaterError         unavailable   too much is asked for at once; it tells when the same call may work
│       ├── TooOftenError    too_often     too much of one address or key
│       └── QuotaError       quota         no room for it now, on a disk or in somebody's share of one
└── ImageError           permanent     an image that can't be had

A message says what is wrong and where; ``hint`` says what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from gamekeeper.domain.language.problem import Problem


class GamekeeperError(Exception):
    """Base of every error that Gamekeeper raises on purpose."""

    kind: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.kind

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class NotFoundError(GamekeeperError):
    kind = "not_found"


class ConflictError(GamekeeperError):
    kind = "conflict"


class PreconditionError(ConflictError):
    kind = "precondition"


class OtherPlaceError(ConflictError):
    """A log ends elsewhere than its writer thinks: the agent's spool was lost, or an answer to it."""


class UnreadableError(ConflictError):
    """A row of the database that this version can't read: a newer one wrote it, or a disk tore it."""

    def __init__(self, what: str, error: Exception) -> None:
        reason = str(error).splitlines()[0][:200]
        super().__init__(
            f"{what} can't be read by this version: {reason}",
            hint="bring the control plane to the version that wrote it; if that is no newer one, its row is damaged",
            code="unreadable",
        )


class InvalidError(GamekeeperError):
    kind = "invalid"


def placed(path: str, message: str) -> str:
    """A message behind its place; a problem of the whole document has none."""
    return f"{path}: {message}" if path else message


class SpecError(InvalidError):
    """A pipeline, or another document of a user, that can't be accepted, with every problem found in it."""

    def __init__(self, problems: Sequence[Problem], what: str = "pipeline") -> None:
        count = len(problems)
        first = placed(problems[0].path, problems[0].message) if problems else ""
        super().__init__(f"{count} problem{'s' * (count != 1)} in the {what}; first: {first}", code="invalid_spec")
        self.problems = list(problems)


class PolicyError(InvalidError):
    """A step asks for something that its node's policy file forbids."""


class SecretError(InvalidError):
    """A secret that a container names and can't have: it is not there, not for it, or holds what can't be given."""


class MessageRefusedError(InvalidError):
    """A channel will never take this message, or its address may not be asked."""


class TooLargeError(InvalidError):
    kind = "too_large"


class UnauthenticatedError(GamekeeperError):
    kind = "unauthenticated"


class ForbiddenError(GamekeeperError):
    kind = "forbidden"


class UnavailableError(GamekeeperError):
    kind = "unavailable"


class LaterError(UnavailableError):
    """Too much is asked for at once. The same call may work in ``after_seconds``, and not before."""

    def __init__(self, message: str, *, after_seconds: float, code: str = "") -> None:
        super().__init__(message, hint=f"it may call again in {after_seconds:.1f} s", code=code)
        self.after_seconds = after_seconds


class TooOftenError(LaterError):
    """One address, or one key, asks for too much. Others are served."""

    kind = "too_often"


class QuotaError(LaterError):
    """There is no room for it now. What needs none goes on."""

    kind = "quota"


class ImageError(GamekeeperError):
    """An image that the node can't get, now or on a retry of the same pull."""

    kind = "permanent"
