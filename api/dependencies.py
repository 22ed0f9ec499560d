"""The dependencies of routes, as types: signatures then read like a sentence. The matched route decides on access.

Middleware that decides by the URL's text has let callers in elsewhere (a path that only ends like a public one), so
every route but the health ones carries ``require_caller`` itself, and a test walks all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Query
from starlette.requests import HTTPConnection
from starlette.types import Scope

from api.browser import token_of_cookie
from api.logs.usage import LogUsage
from api.services.access.authority import AuthorityService
from api.services.access.bundle import BundleService
from api.services.access.caller import CallerService
from api.services.access.enrolment import EnrolmentService
from api.services.access.grant import GrantService
from api.services.access.guard import Guard
from api.services.access.identity import IdentityService
from api.services.access.join_approval import JoinApprovalService
from api.services.access.join_key import JoinKeyService
from api.services.access.joining import JoinService
from api.services.access.key_ring import KeyRing
from api.services.access.oidc import OidcSignIns
from api.services.access.own_password import OwnPassword
from api.services.access.passkey import PasskeyService
from api.services.access.passkey_sign_in import PasskeySignIn
from api.services.access.payload_key import PayloadKeyService
from api.services.access.people import People
from api.services.access.quota import QuotaService
from api.services.access.rates import Rates
from api.services.access.rest_certificate import RestCertificate
from api.services.access.second_factor import SecondFactor
from api.services.access.session import SessionService
from api.services.access.sign_in import SignInService
from api.services.access.sign_in_link import SignInLinks
from api.services.access.user import UserService
from api.services.alarm.alarm import AlarmService
from api.services.alarm.alarm_link import AlarmLinkService
from api.services.alarm.alarm_rule import AlarmRuleService
from api.services.alarm.channel import ChannelService
from api.services.alarm.services import AlarmServices
from api.services.alarm.silence import SilenceService
from api.services.alarm.window import WindowService
from api.services.event import EventService
from api.services.instance.instance import InstanceService
from api.services.instance.log import InstanceLogService
from api.services.instance.placement import PlacementService
from api.services.instance.power import InstancePowerService
from api.services.instance.schedule import InstanceScheduleService
from api.services.instance.services import InstanceServices
from api.services.node.admission import Admission
from api.services.node.console import ConsoleService
from api.services.node.drain import DrainService
from api.services.node.metric import MetricService
from api.services.node.node import NodeService
from api.services.parts import Parts
from api.services.process import ProcessService
from api.services.run.dispatch import RunDispatcher
from api.services.run.log import LogService
from api.services.run.outcome import RunOutcomeService
from api.services.run.pipeline import PipelineService
from api.services.run.rerun import RerunService
from api.services.run.run import RunService
from api.services.run.run_control import RunControlService
from api.services.run.schedule import ScheduleService
from api.services.secret.key_rotation import KeyRotation
from api.services.secret.secret import SecretService
from api.services.secret.services import SecretServices
from api.settings import is_loopback
from gamekeeper.actor import set_actor
from gamekeeper.domain.access.caller import Caller
from gamekeeper.errors import ForbiddenError, InvalidError, NotFoundError
from gamekeeper.stack.own_server import is_loopback_url
from gamekeeper.supervised import Supervised
from gamekeeper.whole_number import whole_number

_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
HOLD = "gamekeeper.hold"  # of a request that is held: takes what watches its caller
CALL = "gamekeeper.call"  # of such a request: what is watched, once it is known


@dataclass(frozen=True)
class Services:
    """All that the routes use; built once in the bootstrap."""

    dispatcher: RunDispatcher
    callers: CallerService
    key_ring: KeyRing
    users: UserService
    sessions: SessionService
    sign_ins: SignInService
    second_factor: SecondFactor
    people: People
    guard: Guard
    rates: Rates
    authority: AuthorityService
    enrolment: EnrolmentService
    joining: JoinService
    payload_keys: PayloadKeyService
    join_keys: JoinKeyService
    approvals: JoinApprovalService
    bundles: BundleService
    nodes: NodeService
    drains: DrainService
    runs: RunService
    instances: InstanceServices
    logs: LogService
    events: EventService
    metrics: MetricService
    consoles: ConsoleService
    pipelines: PipelineService
    control: RunControlService
    reruns: RerunService
    schedules: ScheduleService
    secrets: SecretServices
    alarms: AlarmServices
    outcomes: RunOutcomeService
    parts: Parts
    processes: ProcessService
    rest_certificate: RestCertificate | None
    admission: Admission
    refusals: Mapping[tuple[str, str], int]  # of the node link, by call and reason
    log_usage: LogUsage
    background: Sequence[Supervised]


def services(connection: HTTPConnection) -> Services:
    found: Services = connection.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]


# The OpenAPI document tells of it as a security scheme, once, and not as a parameter of each operation.
async def require_caller(
    services: ServicesDep,
    connection: HTTPConnection,
    authorization: Annotated[str, Header(include_in_schema=False)] = "",
) -> Caller:
    caller = await caller_of(services, connection.scope, authorization)
    set_actor(caller.actor, caller.id, connection.client.host if connection.client else "", caller.means)
    if (hold := connection.scope.get(HOLD)) is not None:
        hold(services.callers.held(caller))
    return caller


async def caller_of(services: Services, scope: Scope, authorization: str) -> Caller:
    """By the header, or by the cookie of a session. Raises as ``CallerService`` and ``token_of_cookie`` do."""
    address = str(scope["client"][0]) if scope.get("client") else ""
    if not authorization and (token := token_of_cookie(scope)):
        return await services.callers.authenticate_secret(token, address)
    return await services.callers.authenticate(authorization, address)


async def require_metrics_key(services: ServicesDep, connection: HTTPConnection) -> None:
    """Whoever is on this machine needs no key."""
    authorization = connection.headers.get("authorization", "")
    if not authorization and _is_of_this_machine(connection):
        return
    address = connection.client.host if connection.client else ""
    await services.callers.authenticate_metrics(authorization, address)


async def require_this_machine(connection: HTTPConnection) -> None:
    """Raises ForbiddenError for whoever asks from elsewhere."""
    if not _is_of_this_machine(connection):
        raise ForbiddenError(
            "this is done on the machine of the server alone", hint="type the command there", code="not_here"
        )


def _is_of_this_machine(connection: HTTPConnection) -> bool:
    """False for what a proxy here asks for others, and for a page in a browser here, to whose own name this address
    was given: both bring a name of elsewhere, or a proxy says for whom it asks."""
    is_near = is_loopback(connection.client.host if connection.client else "")
    is_direct = is_near and not any(header in connection.headers for header in _OF_PROXIES)
    return is_direct and is_loopback_url(f"http://{connection.headers.get('host', '')}")


def _key_ring(services: ServicesDep) -> KeyRing:
    return services.key_ring


def _user_service(services: ServicesDep) -> UserService:
    return services.users


def _session_service(services: ServicesDep) -> SessionService:
    return services.sessions


def _sign_in_service(services: ServicesDep) -> SignInService:
    return services.sign_ins


def _second_factor(services: ServicesDep) -> SecondFactor:
    return services.second_factor


def _passkey_service(services: ServicesDep) -> PasskeyService:
    return services.people.passkeys


def _sign_in_links(services: ServicesDep) -> SignInLinks:
    return services.people.links


def _passkey_sign_in(services: ServicesDep) -> PasskeySignIn:
    return services.people.passkey_sign_ins


def _own_password(services: ServicesDep) -> OwnPassword:
    return services.people.own_passwords


def _alarm_service(services: ServicesDep) -> AlarmService:
    return services.alarms.alarms


def _alarm_link_service(services: ServicesDep) -> AlarmLinkService:
    return services.alarms.links


def _alarm_rule_service(services: ServicesDep) -> AlarmRuleService:
    return services.alarms.rules


def _channel_service(services: ServicesDep) -> ChannelService:
    return services.alarms.channels


def _silence_service(services: ServicesDep) -> SilenceService:
    return services.alarms.silences


def _window_service(services: ServicesDep) -> WindowService:
    return services.alarms.windows


def _identity_service(services: ServicesDep) -> IdentityService:
    return services.people.identities


def _oidc_sign_ins(services: ServicesDep) -> OidcSignIns:
    if services.people.oidc is None:
        raise NotFoundError("this server has no sign-in by a provider", hint="GAMEKEEPER_OIDC_ISSUER names one")
    return services.people.oidc


def _grant_service(services: ServicesDep) -> GrantService:
    return services.people.grants


def _quota_service(services: ServicesDep) -> QuotaService:
    return services.people.quotas


def _join_service(services: ServicesDep) -> JoinService:
    return services.joining


def _authority_service(services: ServicesDep) -> AuthorityService:
    return services.authority


def _enrolment_service(services: ServicesDep) -> EnrolmentService:
    return services.enrolment


def _join_key_service(services: ServicesDep) -> JoinKeyService:
    return services.join_keys


def _join_approval_service(services: ServicesDep) -> JoinApprovalService:
    return services.approvals


def _payload_key_service(services: ServicesDep) -> PayloadKeyService:
    return services.payload_keys


def _bundle_service(services: ServicesDep) -> BundleService:
    return services.bundles


def _node_service(services: ServicesDep) -> NodeService:
    return services.nodes


def _drain_service(services: ServicesDep) -> DrainService:
    return services.drains


def _placement_service(services: ServicesDep) -> PlacementService:
    return services.instances.placements


def _run_service(services: ServicesDep) -> RunService:
    return services.runs


def _instance_service(services: ServicesDep) -> InstanceService:
    return services.instances.rows


def _instance_power_service(services: ServicesDep) -> InstancePowerService:
    return services.instances.power


def _instance_schedule_service(services: ServicesDep) -> InstanceScheduleService:
    return services.instances.schedules


def _instance_log_service(services: ServicesDep) -> InstanceLogService:
    return services.instances.logs


def _log_service(services: ServicesDep) -> LogService:
    return services.logs


def _event_service(services: ServicesDep) -> EventService:
    return services.events


def _metric_service(services: ServicesDep) -> MetricService:
    return services.metrics


def _console_service(services: ServicesDep) -> ConsoleService:
    return services.consoles


def _pipeline_service(services: ServicesDep) -> PipelineService:
    return services.pipelines


def _run_control_service(services: ServicesDep) -> RunControlService:
    return services.control


def _rerun_service(services: ServicesDep) -> RerunService:
    return services.reruns


def _schedule_service(services: ServicesDep) -> ScheduleService:
    return services.schedules


def _secret_service(services: ServicesDep) -> SecretService:
    return services.secrets.secrets


def _secret_keys(services: ServicesDep) -> KeyRotation:
    return services.secrets.keys


def _parts(services: ServicesDep) -> Parts:
    """For routes that begin new work: what has begun goes on with the room that is left."""
    return services.parts


def _process_service(services: ServicesDep) -> ProcessService:
    return services.processes


def _if_match(if_match: Annotated[str | None, Header()] = None) -> int | None:
    """The version that If-Match names; None without the header or for ``*``."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    number = whole_number(text)
    if number is None:
        raise InvalidError(f"If-Match {if_match[:40]} is not an ETag of this server", hint='send it as If-Match: "3"')
    return number


def _last_event_id(last_event_id: Annotated[str | None, Header()] = None) -> int:
    text = (last_event_id or "0").strip()
    number = whole_number(text)
    if number is None:
        raise InvalidError(
            f"Last-Event-ID {text[:40]} is not an id of this server's events", hint="send the id of the last one read"
        )
    return number


NO_NUL = r"^[^\x00]*$"  # of any text that is looked for
CURSOR = r"^[A-Za-z0-9_-]*$"  # whether or not a page is asked for
SAFE_ID = r"^[A-Za-z0-9._-]+$"  # of any id in a path; a NUL, say, would not even reach PostgreSQL
CallerDep = Annotated[Caller, Depends(require_caller)]
AlarmsDep = Annotated[AlarmService, Depends(_alarm_service)]
AlarmLinksDep = Annotated[AlarmLinkService, Depends(_alarm_link_service)]
AlarmRulesDep = Annotated[AlarmRuleService, Depends(_alarm_rule_service)]
ChannelsDep = Annotated[ChannelService, Depends(_channel_service)]
SilencesDep = Annotated[SilenceService, Depends(_silence_service)]
WindowsDep = Annotated[WindowService, Depends(_window_service)]
GrantsDep = Annotated[GrantService, Depends(_grant_service)]
QuotasDep = Annotated[QuotaService, Depends(_quota_service)]
KeyRingDep = Annotated[KeyRing, Depends(_key_ring)]
UsersDep = Annotated[UserService, Depends(_user_service)]
SessionsDep = Annotated[SessionService, Depends(_session_service)]
SignInsDep = Annotated[SignInService, Depends(_sign_in_service)]
IdentitiesDep = Annotated[IdentityService, Depends(_identity_service)]
OidcDep = Annotated[OidcSignIns, Depends(_oidc_sign_ins)]
SecondFactorDep = Annotated[SecondFactor, Depends(_second_factor)]
PasskeysDep = Annotated[PasskeyService, Depends(_passkey_service)]
SignInLinksDep = Annotated[SignInLinks, Depends(_sign_in_links)]
PasskeySignInsDep = Annotated[PasskeySignIn, Depends(_passkey_sign_in)]
OwnPasswordsDep = Annotated[OwnPassword, Depends(_own_password)]
JoinDep = Annotated[JoinService, Depends(_join_service)]
AuthorityDep = Annotated[AuthorityService, Depends(_authority_service)]
EnrolmentDep = Annotated[EnrolmentService, Depends(_enrolment_service)]
JoinKeysDep = Annotated[JoinKeyService, Depends(_join_key_service)]
JoinApprovalsDep = Annotated[JoinApprovalService, Depends(_join_approval_service)]
PayloadKeysDep = Annotated[PayloadKeyService, Depends(_payload_key_service)]
BundlesDep = Annotated[BundleService, Depends(_bundle_service)]
NodesDep = Annotated[NodeService, Depends(_node_service)]
PlacementsDep = Annotated[PlacementService, Depends(_placement_service)]
DrainsDep = Annotated[DrainService, Depends(_drain_service)]
SecretsDep = Annotated[SecretService, Depends(_secret_service)]
SecretKeysDep = Annotated[KeyRotation, Depends(_secret_keys)]
SchedulesDep = Annotated[ScheduleService, Depends(_schedule_service)]
InstancesDep = Annotated[InstanceService, Depends(_instance_service)]
InstancePowerDep = Annotated[InstancePowerService, Depends(_instance_power_service)]
InstanceSchedulesDep = Annotated[InstanceScheduleService, Depends(_instance_schedule_service)]
InstanceLogsDep = Annotated[InstanceLogService, Depends(_instance_log_service)]
RunsDep = Annotated[RunService, Depends(_run_service)]
EventsDep = Annotated[EventService, Depends(_event_service)]
MetricsDep = Annotated[MetricService, Depends(_metric_service)]
ConsolesDep = Annotated[ConsoleService, Depends(_console_service)]
PipelinesDep = Annotated[PipelineService, Depends(_pipeline_service)]
RunControlDep = Annotated[RunControlService, Depends(_run_control_service)]
RerunsDep = Annotated[RerunService, Depends(_rerun_service)]
LogsDep = Annotated[LogService, Depends(_log_service)]
PartsDep = Annotated[Parts, Depends(_parts)]
ProcessesDep = Annotated[ProcessService, Depends(_process_service)]
IfMatch = Annotated[int | None, Depends(_if_match)]
LastEventId = Annotated[int, Depends(_last_event_id)]
Limit = Annotated[int, Query(ge=1, le=500, description="Rows a page")]
Cursor = Annotated[str | None, Query(max_length=200, pattern=CURSOR, description="next_cursor of the page before")]
