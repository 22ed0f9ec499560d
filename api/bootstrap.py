"""Builds the api process from its settings: the services, and REST and the node link over them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI
from temporalio.client import Client

from api.app import create_app
from api.background import Loop
from api.dependencies import Services
from api.grpc.link_calls import LinkConfig
from api.grpc.node_link import NodeLink
from api.grpc.server import LinkServer, build_server
from api.services.access.certificate import CertificateService
from api.services.access.enrolment import EnrolmentService
from api.services.access.standing import StandingService
from api.services.instance.reconcile import InstanceReconciler
from api.services.node.condition import ConditionService
from api.services.node.presence import Presence
from api.services.run.reconcile import RunReconciler
from api.settings import ApiSettings
from api.wiring import wire
from gamekeeper.db.engine import Database
from gamekeeper.temporal.sealed_payloads import PayloadSeals


@dataclass(frozen=True)
class ApiProcess:
    services: Services
    app: FastAPI
    link_server: LinkServer
    presence: Presence
    conditions: ConditionService
    enrolment: EnrolmentService
    certificates: CertificateService
    standing: StandingService
    reconciler: RunReconciler
    instances: InstanceReconciler
    loops: list[Loop]


def build(settings: ApiSettings, database: Database, client: Client, seals: PayloadSeals) -> ApiProcess:
    """``seals`` are those of the client's codec."""
    wired = wire(settings, database, client, seals)
    config = LinkConfig.of(
        settings,
        temporal_address=client.service_client.config.target_host,
        temporal_namespace=client.namespace,
    )
    link = NodeLink(wired.link, config)
    server = build_server(
        link,
        f"{settings.grpc_host}:{settings.grpc_port}",
        trust=lambda: (wired.access.certificates.server, wired.access.certificates.roots),
        reflect=settings.grpc_reflection,
        told=link.refused,
    )
    wired.rest.joining.link_port = server.port
    return ApiProcess(
        services=wired.rest,
        app=create_app(wired.rest, settings.ui_origins()),
        link_server=server,
        presence=wired.link.presence,
        conditions=wired.link.conditions,
        enrolment=wired.access.enrolment,
        certificates=wired.access.certificates,
        standing=wired.access.standing,
        reconciler=wired.reconciler,
        instances=wired.instances,
        loops=wired.loops,
    )
