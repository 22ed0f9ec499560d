"""The outbox: a message has one id, whatever dies between its sending and its note, and its log has each try."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gamekeeper.control_plane.alarm.channel_secret import seal_channel
from gamekeeper.control_plane.alarm.heartbeats import Heartbeats
from gamekeeper.control_plane.alarm.outbox import AlarmLinks, SqlOutbox
from gamekeeper.db.models import ChannelRow, NodeRow
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.message import Message
from gamekeeper.errors import MessageRefusedError, UnavailableError
from gamekeeper.sealing.key_file import KeyFile
from tests.fakes.notifier import FakeSender
from tests.gamekeeper.control_plane.alarm.scenes import Scene

SECRET = ChannelSecret(url="https://hooks.example.org/s3cret", key="whsec_k")


class Sending:
    """A scene with a channel whose secret is sealed, and an outbox."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.keys = KeyFile(folder / "channels.key")
        self.sender = FakeSender()
        self.outbox = self.new_outbox()

    def new_outbox(self) -> SqlOutbox:
        links = AlarmLinks(b"a key of links", "https://games.example.org/")
        return SqlOutbox(self.scene.database, self.keys, self.sender, links, lambda: self.scene.now)

    async def add_channel(self, **fields: object) -> None:
        await self.keys.ensure(())
        spec = ChannelSpec.model_validate({"type": "webhook"} | fields)
        row = ChannelRow(name="hook", spec=spec.model_dump(mode="json"))
        await seal_channel(self.keys, row, SECRET)
        await self.scene.add(row)

    async def raised(self, node: str = "n1") -> str:
        """The id of the message of a node that is away."""
        await self.scene.add_node(node, status="offline")
        await self.scene.look()
        return (await self.scene.notices())[-1].id


@pytest.fixture
def sending(scene: Scene, tmp_path: Path) -> Sending:
    return Sending(scene, tmp_path)


async def test_a_message_says_what_where_why_and_how_to_answer(sending: Sending) -> None:
    await sending.add_channel()
    name = await sending.raised()
    await sending.outbox.deliver(name)
    (message,) = sending.sender.sent
    assert (message.id, message.title) == (name, "Node offline: node n1")
    assert "node.status is offline" in message.text
    assert "Is the machine on" in message.text
    assert message.links.keys() == {"acknowledge", "silence"}
    assert sending.sender.secrets == [SECRET]
    (row,) = await sending.scene.notices()
    assert (row.state, row.attempts, row.log[0]["outcome"]) == ("sent", 1, "taken")


async def test_a_template_takes_the_place_of_the_text(sending: Sending) -> None:
    await sending.add_channel(template="$severity: $object, $$5")
    await sending.outbox.deliver(await sending.raised())
    assert sending.sender.sent[0].text == "critical: node n1, $5"


async def test_a_process_that_dies_before_its_note_sends_the_same_message_again(sending: Sending) -> None:
    await sending.add_channel()
    name = await sending.raised()
    noted, sending.outbox._note = sending.outbox._note, _dies  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await sending.outbox.deliver(name)
    again = sending.new_outbox()
    await again.deliver(name)
    await again.deliver(name)
    assert noted is not None
    first, second = sending.sender.sent
    assert first == second


async def _dies(*_: object, **__: object) -> None:
    raise asyncio.CancelledError


async def test_each_try_is_in_the_log_and_a_refusal_is_told_once(sending: Sending) -> None:
    await sending.add_channel()
    name = await sending.raised()
    sending.sender.errors = [UnavailableError("HTTP 500"), MessageRefusedError("HTTP 404")]
    with pytest.raises(UnavailableError):
        await sending.outbox.deliver(name)
    with pytest.raises(MessageRefusedError):
        await sending.outbox.deliver(name)
    for _ in range(2):
        await sending.outbox.give_up(name, "HTTP 404")
    (row,) = await sending.scene.notices()
    assert (row.state, [entry["outcome"] for entry in row.log]) == ("failed", ["HTTP 500", "HTTP 404"])
    assert await sending.scene.events("alarm_channel") == [("alarm_channel.failed", "")]
    await sending.outbox.deliver(name)
    assert sending.sender.sent == []


async def test_what_the_channel_has_lost_its_key_for_waits_for_it(sending: Sending, tmp_path: Path) -> None:
    await sending.add_channel()
    name = await sending.raised()
    key = (tmp_path / "channels.key").rename(tmp_path / "away.key")
    with pytest.raises(Exception, match="key") as lost:
        await sending.outbox.deliver(name)
    assert not isinstance(lost.value, MessageRefusedError)
    key.rename(tmp_path / "channels.key")
    await sending.outbox.deliver(name)
    assert len(sending.sender.sent) == 1


async def test_the_dead_mans_switch_beats_only_while_alarms_are_judged(sending: Sending) -> None:
    await sending.add_channel(type="heartbeat", every="1m")
    scene = sending.scene
    beats = Heartbeats(scene.database, scene.rounds, sending.outbox, lambda: scene.now)
    await beats.look()
    assert sending.sender.sent == []
    await scene.add_node("n1", status="offline")
    await scene.look()
    await beats.look()
    await beats.look()
    (message,) = sending.sender.sent
    assert isinstance(message, Message)
    assert message.counts == {"critical": 1}
    await scene.later(61)
    await beats.look()
    assert len(sending.sender.sent) == 2
    await scene.set(NodeRow, "n1", status="online")
    scene.now = scene.now.replace(hour=scene.now.hour + 1)  # nobody judges for an hour
    await beats.look()
    assert len(sending.sender.sent) == 2
