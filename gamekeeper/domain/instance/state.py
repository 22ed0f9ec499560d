"""The states of an instance, the reasons for them, and which state may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Desired(StrEnum):
    """The user's wish. REMOVED is the last one: nothing follows it."""

    RUNNING = "running"
    STOPPED = "stopped"
    REMOVED = "removed"


class InstanceState(StrEnum):
    """The state of an instance as its keeper tells it.

    CREATING: no keeper has it yet. PREPARING: its image comes. STARTING: its process runs and is not ready.
    RESTARTING: the process crashed, and is started again soon. CRASH_LOOP: it crashed too often. FAILED: it can't be
    started. UNKNOWN: its node is away, which says nothing of the process.
    """

    CREATING = "creating"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CRASH_LOOP = "crash_loop"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DELETING = "deleting"
    DELETED = "deleted"

    @property
    def is_settled(self) -> bool:
        """True when nothing goes on: an order has come to its end."""
        return self in SETTLED

    @property
    def is_up(self) -> bool:
        """True while a process runs, or is about to."""
        return self in UP


SETTLED = frozenset(
    {
        InstanceState.READY,
        InstanceState.STOPPED,
        InstanceState.CRASH_LOOP,
        InstanceState.FAILED,
        InstanceState.DELETED,
    }
)
UP = frozenset({InstanceState.STARTING, InstanceState.READY, InstanceState.RESTARTING, InstanceState.STOPPING})


class InstanceReason(StrEnum):
    """The reason of a state, where it is not simply what was asked for."""

    USER = "user"
    EXIT_CODE = "exit_code"
    OOM = "oom"
    CLEAN_EXIT = "clean_exit"
    UNHEALTHY = "unhealthy"
    PULL_FAILED = "pull_failed"
    ENGINE = "engine"
    POLICY = "policy"
    PORT_TAKEN = "port_taken"
    HOOK = "hook"
    SECRET = "secret"
    NODE_DISABLED = "node_disabled"
    NODE_OFFLINE = "node_offline"
    NODE_REMOVED = "node_removed"
    REMOVED_OUTSIDE = "removed_outside"
    EXPIRED = "expired"
    REVERTED = "reverted"
    INTERNAL = "internal"


_S = InstanceState
# A new order may come in every state, so each one leads to those that an order begins with.
_BY_ORDER = frozenset({_S.PREPARING, _S.STOPPING, _S.STOPPED, _S.DELETING})
TRANSITIONS: Mapping[InstanceState, frozenset[InstanceState]] = {
    _S.CREATING: _BY_ORDER | {_S.FAILED},
    _S.PREPARING: _BY_ORDER | {_S.STARTING, _S.FAILED, _S.READY},  # READY: the revision before goes on
    _S.STARTING: _BY_ORDER | {_S.READY, _S.RESTARTING, _S.CRASH_LOOP, _S.FAILED},
    _S.READY: _BY_ORDER | {_S.STARTING, _S.RESTARTING, _S.CRASH_LOOP, _S.FAILED},
    _S.RESTARTING: _BY_ORDER | {_S.STARTING, _S.CRASH_LOOP, _S.FAILED},
    _S.STOPPING: _BY_ORDER | {_S.READY, _S.STARTING, _S.FAILED},  # READY: a hook held the stop
    _S.STOPPED: _BY_ORDER | {_S.STARTING, _S.FAILED},
    _S.CRASH_LOOP: _BY_ORDER,
    _S.FAILED: _BY_ORDER,
    _S.UNKNOWN: frozenset(_S),
    _S.DELETING: frozenset({_S.DELETED, _S.FAILED}),
    _S.DELETED: frozenset(),
}


def may_follow(before: InstanceState, after: InstanceState) -> bool:
    return before is after or after in TRANSITIONS[before]
