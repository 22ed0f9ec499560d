"""All tables. The migrations see them by one import."""

from gamekeeper.db.models.container import ContainerRow
from gamekeeper.db.models.event import EventRow
from gamekeeper.db.models.grant import GrantRow
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
from gamekeeper.db.models.step import StepRow
from gamekeeper.db.models.user import AuthenticatorRow, RecoveryCodeRow, SessionRow, UserRow

__all__ = [
    "ApiKeyRow",
    "ApiKeySecretRow",
    "AuthenticatorRow",
    "ContainerRow",
    "EnrolmentTokenRow",
    "EventRow",
    "GrantRow",
    "InstanceRevisionRow",
    "InstanceRow",
    "InstanceScheduleRow",
    "JoinKeyRow",
    "JoinRow",
    "MetricRow",
    "NodeRow",
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
    "SessionRow",
    "SpentChallengeRow",
    "StepRow",
    "UserRow",
]
