"""Verbs: all that a caller may be allowed to do, and the kinds of objects that it is done to."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Verb(StrEnum):
    """A route, a stream or a console needs one of these of its caller. A new verb needs a line: its name, its value,
    its meaning; then a role that has it (``role.py``), and ``make pages``."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    SEE = "see", "look at it: its state, definition, events and metrics"
    LOGS = "logs", "read its logs"
    CONSOLE = "console", "look on at the console of its process, and type there"
    FILES = "files", "read and change its files"
    POWER = "power", "start, stop, restart or kill an instance; cordon and drain a node"
    RUN = "run", "run a stored pipeline; steer its runs and schedules; on a node: place work of one's own there"
    EDIT = "edit", "make, change and remove it; run a pipeline that is not stored"
    APPROVE = "approve", "answer a step that asks for approval"
    SHELL = "shell", "run commands in its container"
    ADMIN = "admin", "let machines in, make keys, rotate certificates: all that gives power to others"


class ObjectKind(StrEnum):
    """A verb is about an object of one of these kinds. Runs and schedules belong to their pipeline; what belongs to
    none of the others is the server's."""

    NODE = "node"
    PIPELINE = "pipeline"
    INSTANCE = "instance"
    SERVER = "server"
