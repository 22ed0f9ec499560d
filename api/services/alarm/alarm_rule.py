"""Rules of alarms as their owners see and change them: the default ones, changes of these, and users' own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.actor import current_actor
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import AlarmRuleRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.alarm_rule import AlarmRuleRepository
from gamekeeper.domain.alarm.default_rules import DEFAULT_RULES
from gamekeeper.domain.alarm.rule import MAX_RULES, AlarmRule, read_rule
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.errors import ConflictError, NotFoundError, PreconditionError, UnreadableError


@dataclass(frozen=True)
class SeenRule:
    """``is_default`` for a rule that comes with Gamekeeper, ``is_changed`` for one that a user wrote or changed. A
    default rule that nobody has changed is at version 0."""

    id: str
    rule: AlarmRule
    is_default: bool
    is_changed: bool = False
    version: int = 0
    updated_by: str = ""
    updated_at: datetime | None = None


class AlarmRuleService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_all(self) -> list[SeenRule]:
        """By their ids."""
        async with self._database.read() as session:
            rows = {row.id: row for row in await AlarmRuleRepository(session).all()}
        found = [_default(rule_id) for rule_id in DEFAULT_RULES if rule_id not in rows]
        for row in rows.values():
            with self._database.odd_rows.row(f"alarm_rules {row.id}"):
                found.append(_seen(row))
        return sorted(found, key=lambda rule: rule.id)

    async def get(self, rule_id: str) -> SeenRule:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return await _find(session, rule_id)

    async def set(self, rule_id: str, rule: AlarmRule, if_match: int | None) -> tuple[SeenRule, bool]:
        """The rule, and whether it is new. Raises SpecError with every problem and its place, PreconditionError, and
        ConflictError for too many."""
        read_rule(rule_id, rule)
        async with self._database.write() as session:
            rules = AlarmRuleRepository(session)
            row = await rules.find(rule_id)
            before = row.spec if row else None
            is_new = row is None and rule_id not in DEFAULT_RULES
            _match(rule_id, row.version if row else 0, if_match)
            if row is None:
                if len(await rules.all()) >= MAX_RULES:
                    raise ConflictError(f"there are {MAX_RULES} rules already", hint="remove one that nobody needs")
                row = AlarmRuleRow(id=rule_id, version=0)
                rules.add(row)
            row.spec = rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            row.version, row.updated_by, row.updated_at = row.version + 1, current_actor(), utc_now()
            data = {"rule": rule_id, "before": before, "after": row.spec}
            record(session, Event(kind=EventKind.ALARM_RULE_SET, message=rule_id, data=data))
        return _seen(row), is_new

    async def remove(self, rule_id: str, if_match: int | None) -> None:
        """Removes a rule of a user, or takes the change of a default one back. Raises NotFoundError, PreconditionError,
        and ConflictError for a default one that nobody has changed."""
        async with self._database.write() as session:
            rules = AlarmRuleRepository(session)
            row = await rules.find(rule_id)
            if row is None:
                await _find(session, rule_id)
                raise ConflictError(
                    f'"{rule_id}" is a default rule, which comes with Gamekeeper', hint="switch it off: enabled: false"
                )
            _match(rule_id, row.version, if_match)
            data = {"rule": rule_id, "before": row.spec}
            await rules.delete(row)
            record(session, Event(kind=EventKind.ALARM_RULE_REMOVED, message=rule_id, data=data))


async def _find(session: AsyncSession, rule_id: str) -> SeenRule:
    row = await AlarmRuleRepository(session).find(rule_id)
    if row is not None:
        return _seen(row)
    if rule_id not in DEFAULT_RULES:
        hint = did_you_mean(rule_id, DEFAULT_RULES) or "gamekeeper alarm rules lists them"
        raise NotFoundError(f'there is no alarm rule "{rule_id}"', hint=hint)
    return _default(rule_id)


def _default(rule_id: str) -> SeenRule:
    return SeenRule(rule_id, DEFAULT_RULES[rule_id], is_default=True)


def _seen(row: AlarmRuleRow) -> SeenRule:
    try:
        rule = AlarmRule.model_validate(row.spec)
    except ValueError as error:
        raise UnreadableError(f'the alarm rule "{row.id}"', error) from error
    return SeenRule(row.id, rule, row.id in DEFAULT_RULES, True, row.version, row.updated_by, row.updated_at)


def _match(rule_id: str, version: int, if_match: int | None) -> None:
    if if_match is not None and if_match != version:
        raise PreconditionError(
            f'the alarm rule "{rule_id}" is at version {version}, not {if_match}: somebody changed it',
            hint="read it again, then repeat",
        )
