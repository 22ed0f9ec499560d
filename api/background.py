"""The background tasks of the api, each with its name and its period, in one table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from api.services.access.certificate import CertificateService
from api.services.access.join_approval import JoinApprovalService
from api.services.access.payload_key import PayloadKeyService
from api.services.access.people import People
from api.services.access.rest_certificate import RestCertificate
from api.services.access.standing import StandingService
from api.services.alarm.services import AlarmServices
from api.services.event import EventService
from api.services.instance.services import InstanceServices
from api.services.log_room import LogRoomService
from api.services.node.drain import DrainService
from api.services.node.lateness import LOOK_SECONDS
from api.services.node.metric import MetricService
from api.services.node.presence import Presence
from api.services.node.stall import PULSE_SECONDS
from api.services.node_events import NodeEvents
from api.services.run.reconcile import RunReconciler
from api.services.run.schedule import ScheduleService
from api.services.secret.services import SecretServices
from gamekeeper.backoff import MAXIMUM_SECONDS
from gamekeeper.supervised import ROUND_SECONDS, Supervised

WATCH_SECONDS = 0.5
BEATS_SECONDS = 5.0
RECONCILE_SECONDS = 5.0
METRICS_SECONDS = 5.0
SUMS_SECONDS = 60.0
PRUNE_SECONDS = 600.0
LOG_ROOM_SECONDS = 300.0  # all folders of logs are walked while a node is held back, for as long as it likes
DRAINS_SECONDS = 2.0
DISKS_SECONDS = 2.0
SCHEDULES_SECONDS = 3600.0  # years before it counts, but an outage may come between
SCHEDULES_LIMIT_SECONDS = 600.0
JOINS_SECONDS = 60.0
REVOCATIONS_SECONDS = 1.0  # with 3 s for which nodes and keys are known, a revoked one is out within 5 s
KEY_USES_SECONDS = 5.0
ENDED_KEYS_SECONDS = 3600.0
ACME_SECONDS = 60.0
ACME_LIMIT_SECONDS = 600.0  # an order ends by itself before
SECRET_KEYS_SECONDS = 300.0  # a rotation does it at once; this is for what a kill left
SECRET_USES_SECONDS = 3600.0
PAYLOADS_SECONDS = 5.0
SERVER_FACTS_SECONDS = 60.0
CERTIFICATES_SECONDS = 5.0  # a rotation by another process is seen as soon
# Nodes are watched again soon after the database is back, and so are metrics, which wait in memory meanwhile.
SOON_SECONDS = 5.0


@dataclass(frozen=True)
class Loop:
    care: Supervised
    work: Callable[[], Awaitable[None]]
    period: float
    slowest: float = MAXIMUM_SECONDS
    limit: float | None = ROUND_SECONDS

    def start(self) -> asyncio.Task[None]:
        work = self.care.forever(self.work, self.period, self.slowest, self.limit)
        return asyncio.create_task(work, name=self.care.name)


def background_loops(
    presence: Presence,
    reconciler: RunReconciler,
    kept: InstanceServices,
    events: EventService,
    metrics: MetricService,
    schedules: ScheduleService,
    drains: DrainService,
) -> list[Loop]:
    timed = kept.schedule_reconciler
    return [
        Loop(Supervised("stalls"), presence.pulse, PULSE_SECONDS, PULSE_SECONDS),
        Loop(Supervised("lateness"), presence.pace, LOOK_SECONDS, LOOK_SECONDS),
        Loop(Supervised("presence"), presence.watch, WATCH_SECONDS, SOON_SECONDS),
        Loop(Supervised("heartbeats"), presence.save_beats, BEATS_SECONDS),
        Loop(reconciler.care, reconciler.reconcile, RECONCILE_SECONDS, limit=None),
        Loop(kept.reconciler.care, kept.reconciler.reconcile, RECONCILE_SECONDS, limit=None),
        Loop(timed.care, timed.reconcile, RECONCILE_SECONDS, limit=None),
        Loop(Supervised("metrics"), metrics.save, METRICS_SECONDS, SOON_SECONDS),
        Loop(Supervised("metric_sums"), metrics.roll_up, SUMS_SECONDS),
        Loop(Supervised("event_pruning"), events.prune, PRUNE_SECONDS),
        Loop(drains.care, drains.look, DRAINS_SECONDS, limit=None),
        Loop(Supervised("schedule_times"), schedules.keep_times, SCHEDULES_SECONDS, limit=SCHEDULES_LIMIT_SECONDS),
    ]


def room_loops(room: LogRoomService, events: NodeEvents) -> list[Loop]:
    return [
        Loop(Supervised("disk_room"), room.look, DISKS_SECONDS, SOON_SECONDS),
        Loop(Supervised("log_room"), room.keep_account, LOG_ROOM_SECONDS, limit=None),
        Loop(Supervised("node_events"), events.prune, SUMS_SECONDS),
    ]


def access_loops(
    certificates: CertificateService,
    standing: StandingService,
    approvals: JoinApprovalService,
    rest_certificate: RestCertificate | None,
) -> list[Loop]:
    return [
        Loop(Supervised("certificates"), certificates.refresh, CERTIFICATES_SECONDS),
        Loop(Supervised("revocations"), standing.watch, REVOCATIONS_SECONDS, SOON_SECONDS),
        Loop(Supervised("waiting_joins"), approvals.expire, JOINS_SECONDS),
        *_of_rest(rest_certificate),
    ]


def caller_loops(people: People) -> list[Loop]:
    return [
        Loop(Supervised("revoked_keys"), people.callers.watch, REVOCATIONS_SECONDS, SOON_SECONDS),
        Loop(Supervised("key_uses"), people.uses.save, KEY_USES_SECONDS),
        Loop(Supervised("ended_keys"), people.keys.prune, ENDED_KEYS_SECONDS),
        Loop(Supervised("ended_sessions"), people.sessions.prune, ENDED_KEYS_SECONDS),
    ]


def alarm_loops(alarms: AlarmServices) -> list[Loop]:
    return [Loop(Supervised("server_facts"), alarms.facts.look, SERVER_FACTS_SECONDS)]


def secret_loops(secrets: SecretServices) -> list[Loop]:
    return [
        Loop(secrets.keys.care, secrets.keys.go_on, SECRET_KEYS_SECONDS, limit=None),
        Loop(Supervised("ended_secret_uses"), secrets.secrets.forget_ended_uses, SECRET_USES_SECONDS),
    ]


def payload_loops(keys: PayloadKeyService) -> list[Loop]:
    return [Loop(Supervised("payload_troubles"), keys.keep, PAYLOADS_SECONDS)]


def _of_rest(certificate: RestCertificate | None) -> list[Loop]:
    if certificate is None:
        return []
    return [
        Loop(Supervised("rest_certificate"), certificate.refresh, CERTIFICATES_SECONDS),
        Loop(Supervised("acme"), certificate.renew, ACME_SECONDS, ACME_SECONDS, ACME_LIMIT_SECONDS),
    ]
