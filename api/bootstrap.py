"""Builds the api process: the one place that knows every concrete class of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fastapi import FastAPI
from temporalio.client import Client

from api.app import create_app
from api.dependencies import Services
from api.grpc.node_link import LinkConfig, LinkServices, NodeLink
from api.grpc.server import LinkServer, build_server
from api.grpc.telemetry import TelemetryIntake
from api.log_files import LogFiles
from api.services.access.enrolment import EnrolmentService
from api.services.access.key import KeyService
from api.services.event import EventService
from api.services.node.condition import ConditionService
from api.services.node.console import ConsoleService
from api.services.node.container import ContainerService
from api.services.node.inventory import InventoryService
from api.services.node.metric import MetricService
from api.services.node.node import NodeService
from api.services.node.node_signals import NodeSignals
from api.services.node.presence import Lease, Presence
from api.services.run.dispatch import RunDispatcher
from api.services.run.log import LogService
from api.services.run.pipeline import PipelineService
from api.services.run.reconcile import RunReconciler
from api.services.run.rerun import RerunService
from api.services.run.run import RunService
from api.services.run.run_control import RunControlService
from api.services.run.schedule import ScheduleService
from api.services.run.step_phase import StepPhaseService
from api.settings import ApiSettings
from gamekeeper.db.engine import Database


@dataclass(frozen=True)
class ApiProcess:
    services: Services
    app: FastAPI
    link_server: LinkServer
    presence: Presence
    conditions: ConditionService
    enrolment: EnrolmentService
    reconciler: RunReconciler


def build(settings: ApiSettings, database: Database, client: Client) -> ApiProcess:
    dispatcher = RunDispatcher(client)
    signals = NodeSignals(database, dispatcher)
    events = EventService(database, timedelta(days=settings.events_keep_days))
    pipelines = PipelineService(database)
    runs = RunService(database, dispatcher, events, settings.node_wait_seconds)
    logs = LogFiles(settings.logs_dir)
    presence = Presence(database, Lease(settings.heartbeat_ms, settings.lease_ms), signals.node_changed)
    enrolment = EnrolmentService(database)
    nodes = NodeService(database, signals.node_changed, presence.ask_for_reports, enrolment.forget)
    metrics = MetricService(database, settings.retention())
    consoles = ConsoleService(database, runs, presence)
    conditions = ConditionService(database)
    services = Services(
        database,
        dispatcher,
        KeyService(database),
        nodes,
        runs,
        LogService(runs, logs),
        events,
        metrics,
        consoles,
        pipelines,
        RunControlService(database, dispatcher, runs),
        RerunService(runs),
        ScheduleService(database, client, settings.node_wait_seconds),
    )
    config = LinkConfig.of(settings, client.service_client.config.target_host, client.namespace)
    link_services = LinkServices(
        enrolment,
        presence,
        StepPhaseService(database),
        ContainerService(database),
        logs,
        events,
        InventoryService(database),
        conditions,
        TelemetryIntake(metrics, conditions),
        consoles,
        database.clock,
    )
    link = NodeLink(link_services, config)
    server = build_server(link, f"{settings.grpc_host}:{settings.grpc_port}", reflect=settings.grpc_reflection)
    parts = presence, conditions, enrolment, RunReconciler(database, dispatcher)
    return ApiProcess(services, create_app(services), server, *parts)
