"""Builds the control worker: its workflows, and the control plane's activities on the database."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.control_plane.instance_ensure import InstanceEnsureActivities
from activities.control_plane.instance_schedules import InstanceScheduleActivities
from activities.control_plane.instances import InstanceStoreActivities
from activities.control_plane.intake import IntakeActivities
from activities.control_plane.notify import NotifyActivities
from activities.control_plane.rooms import RoomActivities
from activities.control_plane.runs import RunActivities
from gamekeeper.control_plane.instance.ensure import SqlInstanceEnsurer
from gamekeeper.control_plane.instance.firing import SqlInstanceSchedules
from gamekeeper.control_plane.instance.store import SqlInstanceStore
from gamekeeper.control_plane.intake.for_workflows import SqlRunIntake
from gamekeeper.control_plane.placement.step_room import SqlRoomStore
from gamekeeper.control_plane.placement.wakes import RoomWakes
from gamekeeper.db.engine import Database
from gamekeeper.db.run_store import SqlRunStore
from gamekeeper.ports.notifier import Outbox
from gamekeeper.temporal import queues
from gamekeeper.temporal.instance_workflows import InstanceWorkflows
from gamekeeper.temporal.search_attributes import SearchAttributes
from workflows import ALL_WORKFLOWS

# The SDK takes a workflow that computes for 2 s for a deadlock and breaks it off in the middle. On a machine that is
# busy with games, or stood still for a moment, that is no deadlock. There is no public setting.
DEADLOCK_SECONDS = 30


def build(client: Client, database: Database, outbox: Outbox) -> Worker:
    runs = RunActivities(SqlRunStore(database), RoomWakes(database, client))
    intake = IntakeActivities(SqlRunIntake(database), SearchAttributes(client).are_there)
    rooms = RoomActivities(SqlRoomStore(database))
    instances = InstanceStoreActivities(SqlInstanceStore(database))
    calls = InstanceWorkflows(client)
    ensuring = InstanceEnsureActivities(SqlInstanceEnsurer(database, calls))
    schedules = InstanceScheduleActivities(SqlInstanceSchedules(database, calls))
    notices = NotifyActivities(outbox)
    worker = Worker(
        client,
        task_queue=queues.CONTROL_PLANE,
        workflows=ALL_WORKFLOWS,
        activities=[
            *(runs.write_snapshot, runs.find_node),
            *(intake.accept_call, intake.accept_scheduled, intake.load),
            *(intake.enter_group, intake.next_in_line),
            rooms.take,
            *(instances.begin, instances.finish, ensuring.ensure),
            *(schedules.begin, schedules.end),
            *(notices.deliver, notices.give_up),
        ],
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=timedelta(seconds=5),
    )
    return patient(worker)


def patient(worker: Worker) -> Worker:
    """Gives the worker's workflows the time that a slow machine needs."""
    assert worker._workflow_worker is not None
    worker._workflow_worker._deadlock_timeout_seconds = DEADLOCK_SECONDS
    return worker
