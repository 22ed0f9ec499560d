"""A pipeline with every default filled in and every name resolved. A run executes this."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.pipeline import OnBusy
from gamekeeper.domain.language.problem import Problem
from gamekeeper.domain.language.step import Lifetime, StepType, Strategy


class ResolvedRetry(BaseModel):
    """Seconds, and what may be retried."""

    attempts: int = 1
    backoff: float = 1.0
    factor: float = 2.0
    max_backoff: float = 60.0
    on: list[str] = Field(default_factory=list)
    exit_codes: list[int] = Field(default_factory=list)


class ResolvedApproval(BaseModel):
    """``expires`` is in seconds; ``message`` may hold templates that read the run's progress. ``allow`` has the words
    of ``approver``: the api judges by them, and the workflow does not."""

    message: str
    allow: list[str] = Field(default_factory=list)
    expires: float


class ResolvedCall(BaseModel):
    """Another stored pipeline that a step runs, pinned to a version when the run is accepted. ``args`` and ``envs`` may
    hold templates that read the run's progress; ``node`` is for the steps of it that name none."""

    name: str
    version: int | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    node: str | None = None


class ResolvedConcurrency(BaseModel):
    """At most ``limit`` runs of ``group`` go on at once."""

    group: str
    limit: int = 1
    on_busy: OnBusy = "queue"


class ResolvedInstance(BaseModel):
    """The instance that a service ensures, which outlives the run. ``group`` is where its name and its step's are host
    names; ``auto_revert`` goes back to the revision before when the new one does not get ready. ``strategy`` is the way
    from that one to the new one."""

    id: str
    group: str = ""
    auto_revert: bool = True
    strategy: Strategy = Strategy.RECREATE


class ResolvedStep(BaseModel):
    """A step with every default filled in. Strings may still hold templates that read the run's progress.

    ``selector`` describes the node of a step that is not placed yet; no run that was accepted has one.
    ``started_needs`` are those of ``needs`` that only have to have started, not to be healthy.
    ``node`` is empty and ``container`` None for an approval and for a ``call`` of another pipeline. ``hold`` is in
    seconds. ``matrix`` holds lists, or expressions that give them. A cell of a matrix is a step too: ``cell_of`` names
    the matrix, ``cell`` its values.
    """

    name: str
    type: StepType
    node: str
    needs: list[str]
    started_needs: list[str] = Field(default_factory=list)
    if_: str | None = None
    retry: ResolvedRetry = Field(default_factory=ResolvedRetry)
    continue_on_error: bool = False
    timeout: float
    container: Container | None = None
    lifetime: Lifetime | None = None
    instance: ResolvedInstance | None = None
    selector: NodeSelector | None = Field(default=None, exclude_if=lambda value: value is None)
    outputs: list[str] = Field(default_factory=list)
    priority: int = 50
    hold: float | None = None
    matrix: dict[str, Any] | None = None
    max_parallel: int | None = None
    fail_fast: bool = True
    approval: ResolvedApproval | None = None
    call: ResolvedCall | None = None
    cell_of: str | None = None
    cell: dict[str, Any] = Field(default_factory=dict)

    @property
    def spec(self) -> Container:
        """The container of a step that runs on a node."""
        if self.container is None:
            raise ValueError(f"step {self.name} has no container")
        return self.container


class ResolvedPipeline(BaseModel):
    """The pipeline that a run executes. ``timeout`` is in seconds; ``node_wait`` bounds a step's wait for its node.
    ``warnings`` are told to who submits it and kept nowhere; nor are ``declared_secrets``, the secrets among its envs,
    by the names of these."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    args: dict[str, Any] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    steps: list[ResolvedStep]
    finally_: list[ResolvedStep] = Field(default_factory=list)
    timeout: float | None = None
    node_wait: float = 600.0
    concurrency: ResolvedConcurrency | None = None
    warnings: list[Problem] = Field(default_factory=list, exclude=True)
    declared_secrets: dict[str, str] = Field(default_factory=dict, exclude=True)

    def all_steps(self) -> list[ResolvedStep]:
        return [*self.steps, *self.finally_]

    def nodes(self) -> list[str]:
        return sorted({step.node for step in self.all_steps() if step.node})

    def instances(self) -> list[str]:
        """Ids of the instances that its steps ensure."""
        return sorted({step.instance.id for step in self.steps if step.instance is not None})
