"""Routes of channels. An address and a key go in and never come out: there is no answer that holds one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from api.dependencies import SAFE_ID, ChannelsDep, Cursor, IfMatch, Limit
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.items import shown_item, shown_items
from api.rest.unshown_body import UnshownBodyRoute
from api.services.alarm.channel import SetChannel
from gamekeeper.db.models import ChannelRow, NotificationRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.alarm.channel import ChannelSpec
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.errors import ConflictError, NotFoundError, PreconditionError

router = APIRouter(prefix="/channels", tags=["alarms"], route_class=UnshownBodyRoute)

MAX_URL = 2000
ChannelName = Annotated[
    str, Path(max_length=63, pattern=SAFE_ID, description="Name of the channel", examples=["on-call"])
]
_ADMIN = needs(Verb.ADMIN, ObjectKind.SERVER)
_EXAMPLE: JsonDict = {"type": "webhook", "url": "https://hooks.example.org/gamekeeper", "severity": "critical"}


def _short(url: SecretStr) -> SecretStr:
    if not 1 <= len(url.get_secret_value()) <= MAX_URL:
        raise ValueError(f"has 1 to {MAX_URL} characters")
    return url


class ChannelSet(Body, ChannelSpec):
    """A channel to be made, or to be changed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    url: Annotated[SecretStr, AfterValidator(_short), Field(json_schema_extra={"maxLength": MAX_URL})] | None = Field(
        default=None,
        description="Address, as `https://...`, `smtps://USER:PASSWORD@host` or one of Apprise. It is sealed and never "
        "shown again; left out, it stays as it is",
    )
    new_key: bool = Field(default=False, description="Makes a new key that signs its messages; a new webhook has one")

    def spec(self) -> ChannelSpec:
        return ChannelSpec.model_validate(self.model_dump(exclude={"url", "new_key"}))


class Channel(BaseModel):
    """A channel, without what is secret of it."""

    name: str = Field(description="Name of the channel")
    spec: ChannelSpec = Field(description="What it is told, and how")
    address: str = Field(description="Where it leads, without what could be secret")
    version: int = Field(description="Counts its changes; also the ETag")
    last_sent_at: datetime | None = Field(description="When a message was taken last; null for never")
    last_error: str = Field(description="Why the last try failed; empty where it did not")
    updated_by: str = Field(description="Who changed it last")
    updated_at: datetime

    @classmethod
    def of(cls, row: ChannelRow) -> Channel:
        return cls.model_validate(row, from_attributes=True)


class ChannelWithKey(Channel):
    """A channel, and the key that signs its messages, where one was just made."""

    key: str = Field(default="", description="Shown this once; empty where none was made")


class ChannelList(BaseModel):
    """All channels."""

    items: list[Channel]


class DeliveryTry(BaseModel):
    """One try to bring a message to its channel."""

    at: datetime = Field(description="When it was tried")
    outcome: str = Field(description="What the receiver answered, or why it could not be asked")
    ms: int = Field(description="Milliseconds that it took")
    sent: bool = Field(description="True for the one that was taken")


class Delivery(BaseModel):
    """A message to a channel, and its tries."""

    id: str = Field(description="Goes with the message as `Gamekeeper-Delivery`, the same at each try")
    kind: NoticeKind = Field(description="What it tells of")
    state: str = Field(description="`gathering` for a digest, `waiting`, `sent` or `failed`")
    created_at: datetime
    ended_at: datetime | None = Field(description="When it was taken or given up; null before")
    attempts: int = Field(description="Tries so far")
    last_error: str = Field(description="Why the last try failed; empty where it did not")
    alarms: list[str] = Field(description="Ids of the alarms that it tells of, the first of many")
    tries: list[DeliveryTry] = Field(description="The newest tries, the oldest first")

    @classmethod
    def of(cls, row: NotificationRow) -> Delivery:
        fields: dict[str, Any] = row.model_dump(include=cls.model_fields.keys() - {"alarms", "tries"})
        alarms = [str(alarm["id"]) for alarm in row.content.get("alarms", ())]
        return cls(**fields, alarms=alarms, tries=[DeliveryTry.model_validate(item) for item in row.log])


class DeliveryList(BaseModel):
    """A page of messages to a channel."""

    items: list[Delivery]
    next_cursor: str | None = None


@router.get("", dependencies=[_ADMIN])
async def list_channels(channels: ChannelsDep) -> ChannelList:
    """Channels by their names, without their addresses and keys."""
    return ChannelList(items=shown_items(channels.odd_rows, await channels.list_all(), Channel.of, key="name"))


@router.get("/{channel}", responses=problems(NotFoundError), dependencies=[_ADMIN])
async def get_channel(channel: ChannelName, channels: ChannelsDep, response: Response) -> Channel:
    """One channel. Its `ETag` is what `If-Match` of a change takes."""
    row = await channels.get(channel)
    response.headers["ETag"] = f'"{row.version}"'
    return shown_item(row, Channel.of, f'the channel "{row.name}"')


@router.put(
    "/{channel}",
    responses=problems(ConflictError, PreconditionError)
    | {201: {"model": ChannelWithKey, "description": "The channel is new"}},
    dependencies=[_ADMIN],
)
async def set_channel(
    channel: ChannelName, body: ChannelSet, channels: ChannelsDep, if_match: IfMatch, response: Response
) -> ChannelWithKey:
    """Makes a channel, or replaces all of it but its address and its key, which stay unless they are given."""
    url = None if body.url is None else body.url.get_secret_value()
    done = await channels.set(channel, body.spec(), url, if_match, new_key=body.new_key)
    response.status_code = status.HTTP_201_CREATED if done.is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/channels/{channel}"
    return _with_key(done, response)


@router.delete(
    "/{channel}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, PreconditionError),
    dependencies=[_ADMIN],
)
async def remove_channel(channel: ChannelName, channels: ChannelsDep, if_match: IfMatch) -> None:
    """Removes a channel, with the log of its deliveries and what waits to be sent."""
    await channels.remove(channel, if_match)


@router.post(
    "/{channel}/test",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[_ADMIN],
)
async def test_channel(channel: ChannelName, channels: ChannelsDep) -> Delivery:
    """Sends a message by the way of all others. The list of deliveries tells how it went."""
    return Delivery.of(await channels.test(channel))


@router.get("/{channel}/deliveries", responses=problems(NotFoundError), dependencies=[_ADMIN])
async def list_deliveries(
    channel: ChannelName, channels: ChannelsDep, cursor: Cursor = None, limit: Limit = 50
) -> DeliveryList:
    """Messages to the channel with their tries, the newest first; they are kept for 30 days."""
    page = await channels.deliveries(channel, cursor=cursor, limit=limit)
    items = shown_items(channels.odd_rows, page.rows, Delivery.of)
    return DeliveryList(items=items, next_cursor=page.next_cursor)


def _with_key(done: SetChannel, response: Response) -> ChannelWithKey:
    response.headers["ETag"] = f'"{done.row.version}"'
    if done.new_key:
        response.headers["Cache-Control"] = "no-store"
    return ChannelWithKey(**Channel.of(done.row).model_dump(), key=done.new_key)
