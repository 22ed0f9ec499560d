"""Steps that ensure an instance: the control plane makes its next revision, and the step waits until that is ready."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.instance_ensure import InstanceEnsureActivities
    from gamekeeper.domain.instance.ensure import EnsureInstance, spec_of
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.run.step import RunStepInput, StepResult
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import long_control_activity, step_priority


def start_ensure(
    step: ResolvedStep,
    argument: RunStepInput,
    waits_for_node: timedelta,
    *,
    until_started: bool = False,
    goes_on: bool = False,
) -> workflow.ActivityHandle[StepResult]:
    """``argument`` is the try as its node would get it: the container in it is that of the revision. ``goes_on`` waits
    for a revision that has started. A cancel ends the wait; the instance is not the run's."""
    assert step.instance is not None
    limit = timedelta(seconds=step.timeout) + waits_for_node
    asked = EnsureInstance(
        key=argument.key,
        pipeline=argument.pipeline,
        node=step.node,
        instance=step.instance,
        spec=spec_of(argument.container, step.instance, step.name, step.timeout),
        within=limit.total_seconds(),
        until_started=until_started,
    )
    number = argument.key.try_
    return workflow.start_activity_method(
        InstanceEnsureActivities.ensure,
        asked,
        activity_id=f"{step.name}.{number}{'.healthy' if goes_on else ''}",
        **long_control_activity(
            queues.CONTROL_PLANE,
            work=limit,
            summary=f"{step.name}, try {number}" if number > 1 else step.name,
            priority=step_priority(step.priority, argument.key.run_id),
        ),
    )
