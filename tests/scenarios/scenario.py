"""The form of a scenario: a pipeline, what is done to it, and how it ends, as data in one YAML file.

``engine: dummy`` runs it in this process on a real Temporal server, its containers steered by ``DUMMY_*`` variables;
``engine: docker`` runs it on a whole stack, where ``IMAGE`` stands for the image of the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FOLDER = Path(__file__).parent


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class When(Strict):
    """The moment of an action: a step is in a state, or has written something to its log.

    A dummy engine writes no log, and no agent is there to tell that its containers run.
    """

    step: str
    state: str = Field(default="", alias="is")
    says: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.state) == bool(self.says):
            raise ValueError("write either is or says")
        return self


class Action(Strict):
    """One thing that a user or the world does. ``finish`` ends a sleep of the dummy; ``kill`` names a part."""

    when: When
    cancel: str = ""
    cancel_step: str = ""
    finish: str = ""
    approve: str = ""
    reject: str = ""
    retry: str = ""
    skip: str = ""
    fail: str = ""
    kill: Literal["", "agent", "control_worker", "api", "temporal"] = ""

    @property
    def what(self) -> tuple[str, str]:
        found = [(name, value) for name, value in self.model_dump(exclude={"when"}).items() if value]
        assert len(found) == 1, f"an action does one thing: {found}"
        return found[0]


class Outcome(Strict):
    """The end of a run or a step. What is not written is not looked at; ``message`` and ``log`` are parts of it.

    ``given`` are environment variables as the step's container got them, which the dummy tells; ``log`` is Docker's.
    """

    state: str
    reason: str | None = None
    message: str = ""
    exit_code: int | None = None
    try_: int | None = Field(default=None, alias="try")
    outputs: dict[str, Any] | None = None
    given: dict[str, str] | None = None
    log: str = ""


class Expected(Strict):
    run: Outcome
    steps: dict[str, Outcome]


class Scenario(Strict):
    shows: str
    engine: Literal["dummy", "docker"] = "dummy"
    pipeline: dict[str, Any]
    do: list[Action] = Field(default_factory=list)
    expected: Expected


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Scenario:
    return Scenario.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def check_names(expected: Expected, found: dict[str, dict[str, Any]]) -> None:
    """Every step is looked at; of the cells of a matrix those that the scenario names."""
    steps = {name for name, row in found.items() if not row["cell_of"]}
    assert steps <= set(expected.steps) <= set(found)


def check(expected: Outcome, found: dict[str, Any], what: str) -> None:
    """``found`` is a row as the API and the mirror tell it."""
    wanted = expected.model_dump(by_alias=True, exclude_unset=True, exclude={"message", "given", "log"})
    assert {name: found[name] for name in wanted} == wanted, f"{what}: {found}"
    assert expected.message in found["message"], f"{what}: {found}"
