"""The services of instances, which REST, the node link and the background share."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client

from api.services.instance.instance import InstanceService
from api.services.instance.log import InstanceLogService
from api.services.instance.placement import PlacementService
from api.services.instance.power import InstancePowerService
from api.services.instance.reconcile import InstanceReconciler
from api.services.instance.report import InstanceReportService
from api.services.instance.schedule import InstanceScheduleService
from api.services.instance.schedule_reconcile import InstanceScheduleReconciler
from gamekeeper.db.engine import Database
from gamekeeper.ports.log_store import LogStore
from gamekeeper.temporal.instance_schedules import InstanceScheduleCalls
from gamekeeper.temporal.instance_workflows import InstanceWorkflows


@dataclass(frozen=True)
class InstanceServices:
    rows: InstanceService
    power: InstancePowerService
    reconciler: InstanceReconciler
    reports: InstanceReportService
    placements: PlacementService
    logs: InstanceLogService
    schedules: InstanceScheduleService
    schedule_reconciler: InstanceScheduleReconciler

    @classmethod
    def of(cls, database: Database, client: Client, logs: LogStore) -> InstanceServices:
        workflows, calls = InstanceWorkflows(client), InstanceScheduleCalls(client)
        schedules = InstanceScheduleService(database, calls)
        reports = InstanceReportService(database, workflows)
        return cls(
            rows=InstanceService(database, workflows, schedules.tell_all),
            power=InstancePowerService(database, workflows),
            reconciler=InstanceReconciler(database, workflows, keeping=reports.nodes),
            reports=reports,
            placements=PlacementService(database),
            logs=InstanceLogService(database, logs),
            schedules=schedules,
            schedule_reconciler=InstanceScheduleReconciler(database, calls, schedules),
        )
