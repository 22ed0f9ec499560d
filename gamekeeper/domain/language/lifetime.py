"""Two words of a service's step that nodes know as well: an agent, which is to stay small, needs no more of a step."""

from __future__ import annotations

from enum import StrEnum


class Lifetime(StrEnum):
    RUN = "run"
    NODE = "node"


class Strategy(StrEnum):
    """The way from one revision of an instance to the next. The second needs two places for one server."""

    RECREATE = "recreate"
    BLUE_GREEN = "blue_green"
