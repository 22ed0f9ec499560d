"""Rules, channels and mutes as they stand in the database, ready to be judged by. An odd row hides no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import ChannelRow, SilenceRow, WindowRow
from gamekeeper.db.readable import ODD_ROWS
from gamekeeper.db.repositories.alarm_rule import AlarmRuleRepository
from gamekeeper.db.repositories.channel import ChannelRepository
from gamekeeper.db.repositories.silence import SilenceRepository, WindowRepository
from gamekeeper.domain.alarm.channel import ChannelSpec, ReadChannel, read_channel
from gamekeeper.domain.alarm.default_rules import DEFAULT_RULES
from gamekeeper.domain.alarm.mute import Mute, window_until
from gamekeeper.domain.alarm.rule import AlarmRule, ReadRule, read_rule
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import GamekeeperError
from gamekeeper.supervised import Supervised

DEFAULTS = {rule_id: read_rule(rule_id, rule) for rule_id, rule in DEFAULT_RULES.items()}
_ODD = (GamekeeperError, ValueError, TypeError, KeyError)


async def read_rules(session: AsyncSession) -> dict[str, ReadRule]:
    """The rules that are on: the default ones as users have changed them, and users' own."""
    found = {rule_id: rule for rule_id, rule in DEFAULTS.items() if DEFAULT_RULES[rule_id].enabled}
    odd: Supervised = session.info[ODD_ROWS]
    for row in await AlarmRuleRepository(session).all():
        try:
            rule = AlarmRule.model_validate(row.spec)
            if rule.enabled:
                found[row.id] = read_rule(row.id, rule)
            else:
                found.pop(row.id, None)
        except _ODD as error:
            odd.skipped(f"alarm_rules {row.id}", error)
    return found


async def read_channels(session: AsyncSession) -> dict[str, ReadChannel]:
    """Those that are on."""
    found: dict[str, ReadChannel] = {}
    odd: Supervised = session.info[ODD_ROWS]
    for row in await ChannelRepository(session).all():
        try:
            spec = spec_of(row)
            if spec.enabled:
                found[row.name] = read_channel(row.name, spec)
        except _ODD as error:
            odd.skipped(f"channels {row.name}", error)
    return found


def spec_of(row: ChannelRow) -> ChannelSpec:
    return ChannelSpec.model_validate(row.spec)


async def read_mutes(session: AsyncSession, now: datetime) -> list[Mute]:
    """The silences and windows that stand now."""
    found: list[Mute] = []
    odd: Supervised = session.info[ODD_ROWS]
    rows: Sequence[SilenceRow | WindowRow] = [
        *await SilenceRepository(session).standing(now),
        *await WindowRepository(session).all(now),
    ]
    for row in rows:
        try:
            mute = _silence(row) if isinstance(row, SilenceRow) else window_of(row, now)
            if mute is not None:
                found.append(mute)
        except _ODD as error:
            odd.skipped(f"{row.__tablename__} {row.reason}", error)
    return found


def _silence(row: SilenceRow) -> Mute:
    selector = Selection.model_validate(row.on).selector()
    return Mute(f"silence {row.id}", selector, frozenset(row.rules), row.until)


def window_of(row: WindowRow, now: datetime) -> Mute | None:
    """None for one that is not open now."""
    until = row.until
    if row.cron:
        until = window_until(row.cron, row.timezone, parse_duration(row.duration), now)
    if until is None or until <= now:
        return None
    selector = Selection.model_validate(row.on).selector()
    return Mute(f"window {row.name}", selector, frozenset(row.rules), until)
