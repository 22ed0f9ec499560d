"""InstanceScheduleWorkflow: one time of an instance's schedule, from its turn until it is handed over.

A power action goes on in the instance's own workflow, whose read model has its end. A line for the console goes to the
node from here.
"""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeKey
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.instance_schedules import InstanceScheduleActivities
    from gamekeeper.domain.instance.schedule import (
        ConsoleLine,
        Firing,
        FiringEnd,
        FiringOutcome,
        InstanceScheduleTerms,
    )
    from gamekeeper.temporal import queues, workflow_names
    from gamekeeper.temporal.policies import UNHEARD_OF, console_activity, control_activity
    from workflows.instance.ends import kind_of, words_of

TYPE_IN = "instance.type_in"
_TIME = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn(name=workflow_names.INSTANCE_SCHEDULE)
class InstanceScheduleWorkflow:
    @workflow.run
    async def run(self, terms: InstanceScheduleTerms) -> str:
        """The outcome so far; empty where the instance or the schedule was removed."""
        info = workflow.info()
        firing = Firing(
            instance=terms.instance,
            name=terms.name,
            token=info.workflow_id,
            at=_time(info),
            number=int(info.start_time.timestamp() * 1000),
            by_hand=terms.by_hand,
        )
        fired = await workflow.execute_activity_method(
            InstanceScheduleActivities.begin,
            firing,
            **control_activity(queues.CONTROL_PLANE, summary=f"a time of {terms.name}"),
        )
        if fired.line is None:
            return fired.outcome.value if fired.outcome else ""
        outcome, message = await _type_in(fired.line, fired.agent)
        await workflow.execute_activity_method(
            InstanceScheduleActivities.end,
            FiringEnd(instance=terms.instance, name=terms.name, token=firing.token, outcome=outcome, message=message),
            **control_activity(queues.CONTROL_PLANE, summary=f"end of {terms.name}"),
        )
        return outcome.value


def _time(info: workflow.Info) -> datetime:
    """The time that has come; the start of the workflow, where a user asked for it."""
    return info.typed_search_attributes.get(_TIME, info.start_time)


async def _type_in(line: ConsoleLine, agent: str) -> tuple[FiringOutcome, str]:
    """The outcome with its words. No answer of the node is read, so that no node can fail this workflow."""
    try:
        await workflow.execute_activity(
            TYPE_IN,
            line,
            result_type=RawValue,
            activity_id=f"{line.number}.type_in",  # the signature of the input is for this id
            **console_activity(queues.node_control_queue(line.node), summary=f"type: {line.text[:100]}"),
        )
    except ActivityError as error:
        if kind_of(error) == UNHEARD_OF:
            version = agent or "an unknown version"
            words = f"the agent of node {line.node} types no commands; upgrade it (it has {version})"
            return FiringOutcome.FAILED, words
        if isinstance(error.cause, TimeoutError):
            is_taken = error.cause.type is not TimeoutType.SCHEDULE_TO_START
            words = "did not say in time that it was typed" if is_taken else "did not take the line in time"
            return FiringOutcome.FAILED, f"node {line.node} {words}"
        return FiringOutcome.FAILED, words_of(error)
    return FiringOutcome.DONE, ""
