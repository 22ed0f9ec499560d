"""The services of alarms, put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from api.services.access.certificate_ends import CertificateEnds
from api.services.alarm.alarm import AlarmService
from api.services.alarm.alarm_link import AlarmLinkService
from api.services.alarm.alarm_rule import AlarmRuleService
from api.services.alarm.channel import ChannelService
from api.services.alarm.server_facts import ServerFacts
from api.services.alarm.silence import SilenceService
from api.services.alarm.window import WindowService
from gamekeeper.db.engine import Database
from gamekeeper.domain.alarm.link import link_key
from gamekeeper.sealing.key_file import KeyFile
from gamekeeper.temporal.proofs import WorkKey


@dataclass(frozen=True)
class AlarmServices:
    alarms: AlarmService
    rules: AlarmRuleService
    channels: ChannelService
    silences: SilenceService
    windows: WindowService
    links: AlarmLinkService
    facts: ServerFacts

    @classmethod
    def of(cls, database: Database, ends: CertificateEnds, work_key: Path, channels_key: Path) -> AlarmServices:
        """Raises InvalidError for a key that can't be read, UnavailableError on a full disk."""
        alarms = AlarmService(database)
        return cls(
            alarms=alarms,
            rules=AlarmRuleService(database),
            channels=ChannelService(database, KeyFile(channels_key)),
            silences=SilenceService(database),
            windows=WindowService(database),
            links=AlarmLinkService(database, alarms, link_key(WorkKey(work_key).ensure())),
            facts=ServerFacts(database, ends),
        )
