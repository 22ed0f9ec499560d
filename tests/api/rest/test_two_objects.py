"""Every route with two objects, of which the caller may reach one: that one it reaches, the other is not there, and
lists have but the first. Routes are taken from the application, so a new one is walked too, or fails here."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
from httpx_sse import EventSource
from sqlalchemy import update

from api.needs import Judged
from gamekeeper.db.event_log import record
from gamekeeper.db.models import GrantRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from tests.api.rest.two_objects import KINDS, OBJECTS, PARTS, Guests, World, make_world, routes
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

NOT_THERE, FORBIDDEN = 404, 403
ALARMS = "/alarms"  # tests/api/rest/test_alarm.py has those of others


@pytest.fixture
async def world(api: ApiUnderTest) -> World:
    return await make_world(api)


def test_each_parameter_of_a_path_is_known_here(api: ApiUnderTest) -> None:
    """A route with a new one is walked once it has a name here."""
    for route in routes(api, Judged.OBJECT):
        assert route.at(dict.fromkeys((*OBJECTS, *PARTS), "x")), route
    assert {route.method for route in routes(api, *Judged)} == {"GET", "POST", "PUT", "PATCH", "DELETE", "WS"}
    assert {route.path for route in routes(api, *Judged) if route.follows} >= {
        "/events",
        "/runs/{run_id}/steps/{step}/logs",
        "/instances/{instance_id}/logs",
    }


async def test_the_first_is_reached_and_the_second_is_not_there(api: ApiUnderTest, world: World) -> None:
    guests, wrong = Guests(api, world), list[str]()
    for route in routes(api, Judged.OBJECT):
        lacks, has = await guests.without(route), await guests.of(route)
        nobody = await route.ask(api, has, world.nobody)
        second = await route.ask(api, has, world.second)
        if nobody.status != NOT_THERE or not world.same(second, world.second, nobody):
            wrong.append(f"{route}: the second answers {second}, one that is not there {nobody}")
        if route.follows:
            followed = [await route.ask(api, has, names, follow="true") for names in (world.second, world.nobody)]
            if not world.same(followed[0], world.second, followed[1]):
                wrong.append(f"{route}: the second, followed, answers {followed[0]}")
        refused = await route.ask(api, lacks, world.first)
        is_hidden = route.need.verb is Verb.SEE and world.same(refused, world.first, nobody)
        is_told = refused.status == FORBIDDEN and f'lacks the verb "{route.need.verb}"' in refused.words
        if not (is_hidden or is_told):
            wrong.append(f"{route}: without its verb the first answers {refused}")
        first = await route.ask(api, has, world.first)
        if first.is_refused or world.same(first, world.first, nobody):
            wrong.append(f"{route}: the first answers {first}")
    assert not wrong, "\n".join(wrong)


async def test_lists_show_the_first_alone(api: ApiUnderTest, world: World) -> None:
    guests, wrong = Guests(api, world), list[str]()
    for route in routes(api, Judged.LIST):
        has, lacks = await guests.of(route), await guests.without(route)
        found = await route.ask(api, has, world.first)
        is_shown = "mine-" in found.text or route.path == ALARMS
        if found.status not in (200, 202) or not is_shown or "others-" in found.text:
            wrong.append(f"{route}: {found}")
        refused = await route.ask(api, lacks, world.first)
        if refused.status != FORBIDDEN:
            wrong.append(f"{route}: without its verb {refused}")
    assert not wrong, "\n".join(wrong)


async def test_what_is_for_all_of_a_kind_is_not_for_one(api: ApiUnderTest, world: World) -> None:
    guests = Guests(api, world)
    for route in routes(api, Judged.ALL):
        names = dict.fromkeys(("key_id", "join_id"), "nobody")
        refused = await route.ask(api, await guests.of(route), world.first | names)
        assert refused.status == FORBIDDEN, (str(route), refused)


async def test_a_grant_that_has_ended_opens_nothing(api: ApiUnderTest, world: World) -> None:
    guests = Guests(api, world)
    walked = routes(api, Judged.OBJECT, Judged.LIST)
    for route in walked:
        await guests.of(route)
    async with api.database.write() as session:
        await session.exec(update(GrantRow).values(expires_at=utc_now() - timedelta(seconds=1)))
    api.process.services.key_ring._changes._changed()  # as after the seconds for which a caller is known
    for route in walked:
        guest = await guests.of(route)
        first = await route.ask(api, guest, world.first)
        if route.need.judged is Judged.LIST:
            assert first.status == FORBIDDEN, (str(route), first)
        else:
            nobody = await route.ask(api, guest, world.nobody)
            assert first.status == NOT_THERE, (str(route), first)
            assert world.same(first, world.first, nobody), (str(route), first)


async def test_a_follower_hears_of_the_first_alone(api: ApiUnderTest, world: World) -> None:
    await api.serve_rest()
    guest = await Guests(api, world).with_verbs({Verb.SEE}, *KINDS)
    url = f"http://{api.rest_address}/api/v1/events?follow=true"
    async with (
        asyncio.timeout(HANG_SECONDS),
        httpx.AsyncClient(timeout=None) as client,
        client.stream("GET", url, headers={"Authorization": f"Bearer {guest.secret}"}) as answer,
    ):
        for names in (world.second, world.first):
            async with api.database.write() as session:
                record(session, Event(kind=EventKind.INSTANCE_READY, instance=names["instance_id"]))
                record(session, Event(kind=EventKind.RUN_SUCCEEDED, run=names["run_id"]))
                record(session, Event(kind=EventKind.NODE_OFFLINE, node=names["node_id"]))
                record(session, Event(kind=EventKind.SCHEDULE_PAUSED, data={"pipeline": names["name"]}))
        told = list[str]()
        async for message in EventSource(answer).aiter_sse():
            told.append(message.data)
            if EventKind.SCHEDULE_PAUSED in message.data:
                break
    assert len(told) == 4
    assert "others-" not in "".join(told)
