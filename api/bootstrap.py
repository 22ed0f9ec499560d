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
from api.services.condition import ConditionService
from api.services.console import ConsoleService
from api.services.container import ContainerService
from api.services.dispatch import RunDispatcher
from api.services.enrolment import EnrolmentService
from api.services.event import EventService
from api.services.inventory import InventoryService
from api.services.key import KeyService
from api.services.log import LogService
from api.services.metric import MetricService
from api.services.node import NodeService
from api.services.node_signals import NodeSignals
from api.services.presence import Lease, Presence
from api.services.reconcile import RunReconciler
from api.services.run import RunService
from api.services.step_phase import StepPhaseService
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
    runs = RunService(database, dispatcher, events, settings.node_wait_seconds)
    logs = LogFiles(settings.logs_dir)
    presence = Presence(database, Lease(settings.heartbeat_ms, settings.lease_ms), signals.node_changed)
    enrolment = EnrolmentService(database)
    nodes = NodeService(database, signals.node_changed, presence.ask_for_reports, enrolment.forget)
    metrics = MetricService(database, settings.retention())
    consoles = ConsoleService(database, runs, presence)
    services = Services(
        database, dispatcher, KeyService(database), nodes, runs, LogService(runs, logs), events, metrics, consoles
    )
    config = LinkConfig(
        temporal_address=settings.temporal_for_agents or settings.temporal or client.service_client.config.target_host,
        temporal_namespace=client.namespace,
        cancel_is_pushed=settings.cancel_is_pushed,
        metrics_ms=settings.metrics_ms,
        log_bytes_per_second=settings.log_bytes_per_second,
    )
    conditions = ConditionService(database)
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
    address = f"{settings.grpc_host}:{settings.grpc_port}"
    server = build_server(NodeLink(link_services, config), address, reflect=settings.grpc_reflection)
    reconciler = RunReconciler(database, dispatcher)
    return ApiProcess(services, create_app(services), server, presence, conditions, enrolment, reconciler)
