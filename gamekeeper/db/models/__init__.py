"""All tables. The migrations see them by one import."""

from gamekeeper.db.models.alarm import AlarmRoundRow, AlarmRow, AlarmRuleRow
from gamekeeper.db.models.channel import ChannelRow, NotificationRow
from gamekeeper.db.models.container import ContainerRow
from gamekeeper.db.models.event import EventRow
from gamekeeper.db.models.grant import GrantRow
from gamekeeper.db.models.identity import IdentityRow, OidcAttemptRow, OidcCodeRow
from gamekeeper.db.models.instance import InstanceRevisionRow, InstanceRow
from gamekeeper.db.models.instance_schedule import InstanceScheduleRow
from gamekeeper.db.models.join import JoinKeyRow, JoinRow
from gamekeeper.db.models.key import ApiKeyRow, ApiKeySecretRow, EnrolmentTokenRow
from gamekeeper.db.models.metric import MetricRow
from gamekeeper.db.models.node import NodeRow
from gamekeeper.db.models.passkey import PasskeyRow, SpentChallengeRow
from gamekeeper.db.models.payload_trouble import PayloadTroubleRow
from gamekeeper.db.models.pipeline import PipelineRow
from gamekeeper.db.models.quota import QuotaRow
from gamekeeper.db.models.reservation import PortReservationRow, ReservationRow
from gamekeeper.db.models.run import RunRow
from gamekeeper.db.models.secret import SecretRow, SecretUseRow, SecretVersionRow
from gamekeeper.db.models.server_fact import ServerFactRow
from gamekeeper.db.models.silence import SilenceRow, WindowRow
from gamekeeper.db.models.step import StepRow
from gamekeeper.db.models.user import AuthenticatorRow, RecoveryCodeRow, SessionRow, UserRow

__all__ = [
    "AlarmRoundRow",
    "AlarmRow",
    "AlarmRuleRow",
    "ApiKeyRow",
    "ApiKeySecretRow",
    "AuthenticatorRow",
    "ChannelRow",
    "ContainerRow",
    "EnrolmentTokenRow",
    "EventRow",
    "GrantRow",
    "IdentityRow",
    "InstanceRevisionRow",
    "InstanceRow",
    "InstanceScheduleRow",
    "JoinKeyRow",
    "JoinRow",
    "MetricRow",
    "NodeRow",
    "NotificationRow",
    "OidcAttemptRow",
    "OidcCodeRow",
    "PasskeyRow",
    "PayloadTroubleRow",
    "PipelineRow",
    "PortReservationRow",
    "QuotaRow",
    "RecoveryCodeRow",
    "ReservationRow",
    "RunRow",
    "SecretRow",
    "SecretUseRow",
    "SecretVersionRow",
    "ServerFactRow",
    "SessionRow",
    "SilenceRow",
    "SpentChallengeRow",
    "StepRow",
    "UserRow",
    "WindowRow",
]
