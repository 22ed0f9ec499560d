"""Routes of the rules of alarms."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from pydantic import BaseModel, Field

from api.dependencies import AlarmRulesDep, IfMatch
from api.needs import needs
from api.problems import SPEC, problems
from api.rest.body import Body
from api.services.alarm.alarm_rule import SeenRule
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.alarm.rule import RULE_ID, AlarmRule
from gamekeeper.errors import ConflictError, NotFoundError, PreconditionError

router = APIRouter(prefix="/alarm-rules", tags=["alarms"])

RuleId = Annotated[str, Path(max_length=63, pattern=RULE_ID, description="Id of the rule", examples=["node-offline"])]


class AlarmRuleSet(Body, AlarmRule):
    """A rule of alarms to be made, or to take the place of one."""


class StoredAlarmRule(BaseModel):
    """A rule of alarms, and where it comes from."""

    id: str = Field(description="Id of the rule")
    rule: AlarmRule = Field(description="The rule itself")
    is_default: bool = Field(description="True for one that comes with Gamekeeper")
    is_changed: bool = Field(description="True for one that a user made or changed")
    version: int = Field(description="Counts its changes; also the ETag")
    updated_by: str = Field(description="Who changed it last; empty for nobody")
    updated_at: datetime | None = Field(description="When it was changed last; null for never")

    @classmethod
    def of(cls, seen: SeenRule) -> StoredAlarmRule:
        return cls.model_validate(seen, from_attributes=True)


class AlarmRuleList(BaseModel):
    """All rules of alarms."""

    items: list[StoredAlarmRule]


def _shown(seen: SeenRule, response: Response) -> StoredAlarmRule:
    response.headers["ETag"] = f'"{seen.version}"'
    return StoredAlarmRule.of(seen)


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.SERVER)])
async def list_alarm_rules(rules: AlarmRulesDep) -> AlarmRuleList:
    """All rules by their ids: the default ones, and those of users."""
    return AlarmRuleList(items=[StoredAlarmRule.of(rule) for rule in await rules.list_all()])


@router.get("/{rule_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.SERVER)])
async def get_alarm_rule(rule_id: RuleId, rules: AlarmRulesDep, response: Response) -> StoredAlarmRule:
    """One rule. Its `ETag` is what `If-Match` of a change takes."""
    return _shown(await rules.get(rule_id), response)


@router.put(
    "/{rule_id}",
    responses=problems(ConflictError, PreconditionError)
    | SPEC
    | {201: {"model": StoredAlarmRule, "description": "The rule is new"}},
    dependencies=[needs(Verb.EDIT, ObjectKind.SERVER)],
)
async def set_alarm_rule(
    rule_id: RuleId, body: AlarmRuleSet, rules: AlarmRulesDep, if_match: IfMatch, response: Response
) -> StoredAlarmRule:
    """Makes a rule, or replaces one, a default one too. 422 lists every problem with its place."""
    seen, is_new = await rules.set(rule_id, AlarmRule.model_validate(body.model_dump(by_alias=True)), if_match)
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/alarm-rules/{rule_id}"
    return _shown(seen, response)


@router.delete(
    "/{rule_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError, PreconditionError),
    dependencies=[needs(Verb.EDIT, ObjectKind.SERVER)],
)
async def remove_alarm_rule(rule_id: RuleId, rules: AlarmRulesDep, if_match: IfMatch) -> None:
    """Removes a rule of a user, or takes the change of a default one back. A default one can be switched off."""
    await rules.remove(rule_id, if_match)
