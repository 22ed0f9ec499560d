"""Puts the services of the api together. The bootstrap adds the two edges, REST and the node link."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client

from api.background import (
    Loop,
    access_loops,
    alarm_loops,
    background_loops,
    caller_loops,
    payload_loops,
    room_loops,
    secret_loops,
)
from api.dependencies import Services
from api.grpc.limits import LIMITS
from api.grpc.link_calls import LinkServices
from api.grpc.telemetry_intake import TelemetryIntake
from api.logs.files import LogFiles
from api.services.access.authority import AuthorityService
from api.services.access.bundle import BundleService
from api.services.access.certificate import CertificateService
from api.services.access.certificate_ends import CertificateEnds
from api.services.access.enrolment import EnrolmentService
from api.services.access.guard import Guard
from api.services.access.join_approval import JoinApprovalService
from api.services.access.join_key import JoinKeyService
from api.services.access.joining import JoinService
from api.services.access.key_join import KeyJoinService
from api.services.access.payload_key import PayloadKeyService
from api.services.access.people import People
from api.services.access.rates import Rates
from api.services.access.rest_certificate import FileSource, OwnSource, RestCertificate, Source
from api.services.access.standing import StandingService
from api.services.alarm.services import AlarmServices
from api.services.event import EventService
from api.services.gateway_look import GatewayLook
from api.services.instance.reconcile import InstanceReconciler
from api.services.instance.services import InstanceServices
from api.services.log_room import LogRoomService
from api.services.node.allowance import Allowance
from api.services.node.condition import ConditionService
from api.services.node.console import ConsoleService
from api.services.node.container import ContainerService
from api.services.node.container_owner import ContainerOwners
from api.services.node.drain import DrainService
from api.services.node.inventory import InventoryService
from api.services.node.metric import MetricService
from api.services.node.node import NodeService
from api.services.node.node_signals import NodeSignals
from api.services.node.presence import Lease, Presence
from api.services.node.secret_delivery import SecretDelivery
from api.services.node_events import NodeEvents
from api.services.parts import Parts
from api.services.process import ProcessService
from api.services.run.dispatch import RunDispatcher
from api.services.run.kept_log import KeptLogs
from api.services.run.log import LogService
from api.services.run.outcome import RunOutcomeService
from api.services.run.pipeline import PipelineService
from api.services.run.reconcile import RunReconciler
from api.services.run.rerun import RerunService
from api.services.run.run import RunService
from api.services.run.run_control import RunControlService
from api.services.run.schedule import ScheduleService
from api.services.run.step_phase import StepPhaseService
from api.services.secret.services import SecretServices
from api.settings import ApiSettings
from gamekeeper.db.engine import Database
from gamekeeper.db.node_directory import SqlNodeDirectory
from gamekeeper.disk import DiskFloor
from gamekeeper.supervised import Supervised
from gamekeeper.temporal.instance_workflows import InstanceWorkflows
from gamekeeper.temporal.sealed_payloads import PayloadSeals
from gamekeeper.temporal.search_attributes import SearchAttributes


@dataclass(frozen=True)
class Access:
    """The services by which machines become nodes, and stay or cease to be."""

    enrolment: EnrolmentService
    certificates: CertificateService
    joining: JoinService
    join_keys: JoinKeyService
    approvals: JoinApprovalService
    standing: StandingService
    rest: RestCertificate | None


@dataclass(frozen=True)
class Wired:
    """``rest`` and ``link`` are what each edge may use; they share most services."""

    rest: Services
    link: LinkServices
    access: Access
    reconciler: RunReconciler
    instances: InstanceReconciler
    loops: list[Loop]


def _lease(settings: ApiSettings) -> Lease:
    return Lease(heartbeat_ms=settings.heartbeat_ms, lease_ms=settings.lease_ms)


def wire(settings: ApiSettings, database: Database, client: Client, seals: PayloadSeals) -> Wired:
    dispatcher, floor = RunDispatcher(client, SearchAttributes(client).are_there), settings.disk_floor()
    logs, wait = LogFiles(settings.logs_dir, settings.log_limits(), floor), settings.node_wait_seconds
    kept, schedules = InstanceServices.of(database, client, logs), ScheduleService(database, client, wait)
    signals = NodeSignals(database, dispatcher, kept.reconciler.tell_nodes)
    presence = Presence(database=database, lease=_lease(settings), changed=signals.node_changed)
    access = _access(settings, database, presence.admission.check_in_time)
    events = EventService(database=database, keep=timedelta(days=settings.events_keep_days))
    metrics, runs = MetricService(database, settings.retention()), RunService(database, dispatcher, events, wait)
    reconciler, drains = RunReconciler(database, dispatcher), DrainService(database, signals.node_changed)
    rates, secrets = Rates(settings.writes_per_second), SecretServices.of(settings, database)
    people = _people(settings, database, rates, secrets)
    payload_keys, alarms = _payload_keys(database, client, seals, schedules, kept), _alarms(settings, database, access)
    loops = background_loops(presence, reconciler, kept, events, metrics, schedules, drains) + caller_loops(people)
    loops += [*_access_loops(access, secrets, payload_keys), *_room_loops(settings, database, logs, floor)]
    loops += alarm_loops(alarms)
    allowance, owners, session_writes = Allowance(LIMITS), ContainerOwners(database), Supervised("session_writes")
    rest = Services(
        dispatcher=dispatcher,
        callers=people.callers,
        key_ring=people.keys,
        users=people.users,
        sessions=people.sessions,
        sign_ins=people.sign_ins,
        second_factor=people.second,
        people=people,
        guard=Guard(database, schedules),
        rates=rates,
        authority=AuthorityService(database, access.certificates, access.standing, presence.ask_to_renew),
        enrolment=access.enrolment,
        joining=access.joining,
        payload_keys=payload_keys,
        join_keys=access.join_keys,
        approvals=access.approvals,
        bundles=BundleService(settings.bundle_dir),
        nodes=_nodes(database, signals, presence, access),
        drains=drains,
        runs=runs,
        instances=kept,
        logs=LogService(runs=runs, logs=logs, kept=KeptLogs(database)),
        events=events,
        metrics=metrics,
        consoles=ConsoleService(database=database, runs=runs, presence=presence),
        pipelines=PipelineService(database),
        control=RunControlService(database=database, dispatcher=dispatcher, runs=runs),
        reruns=RerunService(runs),
        schedules=schedules,
        secrets=secrets,
        alarms=alarms,
        outcomes=RunOutcomeService(database, time.monotonic),
        processes=ProcessService(database),
        parts=_parts(settings, database, dispatcher, access, secrets, payload_keys),
        rest_certificate=access.rest,
        admission=presence.admission,
        refusals=allowance.refusals,
        log_usage=logs.usage,
        background=_cares(loops, events, signals, runs, database, kept, secrets, session_writes),
    )
    link = _link(_Shared(database, access, presence, kept, logs, allowance, owners, session_writes), rest)
    return Wired(rest, link, access, reconciler, kept.reconciler, loops)


@dataclass(frozen=True)
class _Shared:
    """Parts that REST and the node link share, beside the services of each."""

    database: Database
    access: Access
    presence: Presence
    kept: InstanceServices
    logs: LogFiles
    allowance: Allowance
    owners: ContainerOwners
    session_writes: Supervised


def _people(settings: ApiSettings, database: Database, rates: Rates, secrets: SecretServices) -> People:
    return People.of(
        database,
        rates,
        settings.session_terms(),
        settings.read_metrics_key(),
        secrets.master_keys,
        settings.relying_party(),
        settings.oidc(),
    )


def _link(shared: _Shared, rest: Services) -> LinkServices:
    database, access, owners = shared.database, shared.access, shared.owners
    conditions = ConditionService(database)
    return LinkServices(
        joining=access.joining,
        standing=access.standing,
        presence=shared.presence,
        phases=StepPhaseService(database, owners),
        containers=ContainerService(database),
        owners=owners,
        instances=shared.kept.reports,
        secrets=SecretDelivery(database, rest.secrets.values),
        logs=shared.logs,
        events=rest.events,
        inventory=InventoryService(database),
        conditions=conditions,
        telemetry=TelemetryIntake(metrics=rest.metrics, conditions=conditions, owners=owners),
        consoles=rest.consoles,
        clock=database.clock,
        allowance=shared.allowance,
        session_writes=shared.session_writes,
    )


def _nodes(database: Database, signals: NodeSignals, presence: Presence, access: Access) -> NodeService:
    return NodeService(
        database=database,
        changed=signals.node_changed,
        ask_for_reports=presence.ask_for_reports,
        removed=access.enrolment.forget,
        pin=lambda: access.certificates.pin,
    )


def _room_loops(settings: ApiSettings, database: Database, logs: LogFiles, floor: DiskFloor) -> list[Loop]:
    room = LogRoomService(database, logs, floor, timedelta(days=settings.log_keep_days))
    return room_loops(room, NodeEvents(database, settings.events_of_node))


def _cares(
    loops: list[Loop],
    events: EventService,
    signals: NodeSignals,
    runs: RunService,
    database: Database,
    kept: InstanceServices,
    secrets: SecretServices,
    session_writes: Supervised,
) -> list[Supervised]:
    of_instances = [kept.rows.care, kept.schedules.care, kept.reports.care]
    others = [*(loop.care for loop in loops), session_writes, secrets.values.care]
    return [events.polling, signals.care, runs.care, database.odd_rows, *of_instances, *others]


def _access_loops(access: Access, secrets: SecretServices, payload_keys: PayloadKeyService) -> list[Loop]:
    of_access = access_loops(access.certificates, access.standing, access.approvals, access.rest)
    return [*of_access, *secret_loops(secrets), *payload_loops(payload_keys)]


def _alarms(settings: ApiSettings, database: Database, access: Access) -> AlarmServices:
    ends = CertificateEnds(access.certificates, access.rest)
    return AlarmServices.of(database, ends, settings.work_key, settings.channels_key)


def _payload_keys(
    database: Database, client: Client, seals: PayloadSeals, schedules: ScheduleService, kept: InstanceServices
) -> PayloadKeyService:
    async def write_schedules() -> None:
        await schedules.prove_all()
        await kept.schedules.write_anew()

    return PayloadKeyService(database, client, seals, write_schedules, InstanceWorkflows(client).begin_anew)


def _parts(
    settings: ApiSettings,
    database: Database,
    dispatcher: RunDispatcher,
    access: Access,
    secrets: SecretServices,
    payloads: PayloadKeyService,
) -> Parts:
    address = settings.gateway_seen_at()
    gateway = GatewayLook(address, lambda: access.certificates.roots) if address else None
    ends = CertificateEnds(access.certificates, access.rest)
    return Parts(database, dispatcher, settings.logs_dir, settings.disk_floor(), ends, secrets.keys, gateway, payloads)


def _access(settings: ApiSettings, database: Database, check_in_time: Callable[[], None]) -> Access:
    directory = SqlNodeDirectory(database)
    enrolment = EnrolmentService(database, directory)
    certificates = CertificateService(
        settings.ca_dir,
        settings.read_ca_passphrase(),
        settings.names(),
        node_lifetime=timedelta(seconds=settings.certificate_seconds),
        gateway_folder=settings.gateway_certificate_dir,
        steps_folder=settings.steps_certificate_dir,
    )
    standing = StandingService(directory)
    joining = JoinService(
        enrolment=enrolment,
        by_key=KeyJoinService(database, enrolment.forget),
        certificates=certificates,
        directory=directory,
        standing=standing,
        gateway_port=settings.gateway_port,
        check_in_time=check_in_time,
    )
    return Access(
        enrolment=enrolment,
        certificates=certificates,
        joining=joining,
        join_keys=JoinKeyService(database, lambda: certificates.pin),
        approvals=JoinApprovalService(database),
        standing=standing,
        rest=rest_certificate(settings, certificates),
    )


def rest_certificate(settings: ApiSettings, certificates: CertificateService) -> RestCertificate | None:
    """None for plain HTTP. Until a public CA has given one, the own CA's certificate serves."""
    if not settings.rest_is_tls:
        return None
    own, terms = OwnSource(certificates), settings.acme_terms()
    sources: list[Source] = [own]
    if (files := settings.rest_files()) is not None:
        sources = [FileSource(*files)]
    elif terms is not None:
        from api.services.access.acme import AcmeSource  # the library behind it is large

        sources = [AcmeSource(terms, settings.ca_dir / "acme"), own]
    return RestCertificate(settings.ca_dir / "rest", sources)
