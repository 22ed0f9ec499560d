"""The ways people go through the console, in a real browser against a real api and an agent with a dummy engine."""

from __future__ import annotations

import pytest

from tests.api.rest.people import PASSWORD
from tests.api.rest.test_instance import idle
from tests.api.web.conftest import Console

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_a_link_signs_in_once_and_leaves_the_address(playing: Console) -> None:
    answer = await playing.api.http.post("/sign-in-links", json={"user": "mia"})
    link = answer.json()["link"]
    await playing.open(f"/instances/arena#sign-in={link}")
    await playing.page.shows("Ready")
    assert await playing.page.run("location.pathname + location.hash") == "/instances/arena"
    assert playing.page.complaints == []
    assert [address for address in playing.page.asked if link in address.partition("#")[0]] == []
    await playing.page.run(
        "fetch('/api/v1/whoami').then(a => a.json()).then(who => fetch('/api/v1/sign-out',"
        " {method: 'POST', headers: {'X-CSRF-Token': who.csrf_token}})).then(() => true)"
    )
    await playing.open("/")
    await playing.open(f"/instances#sign-in={link}")
    await playing.page.shows("this link was used")


async def test_a_session_that_ends_leaves_the_page_and_what_was_typed(playing: Console) -> None:
    page = playing.page
    await playing.open("/instances")
    await playing.sign_in()
    await page.type("input[type=search]", "are")
    await page.until("location.search.includes('prefix=are')")
    user = (await playing.api.http.get("/users")).json()["items"][0]
    sessions = (await playing.api.http.get("/sessions", params={"user": user["id"]})).json()["items"]
    await playing.api.http.delete(f"/sessions/{sessions[0]['id']}")
    await page.shows("Your session has ended")
    assert await page.run("document.querySelector('input[type=search]').value") == "are"
    await page.type("[role=dialog] input[autocomplete=current-password]", PASSWORD)
    await page.click("[role=dialog] button[type=submit]")
    await page.until("!document.querySelector('[role=dialog]')")
    assert await page.run("document.querySelector('input[type=search]').value") == "are"
    await page.shows("Live")


async def test_tabs_share_one_stream(playing: Console) -> None:
    """A browser has six connections to a server: a stream for each tab would take them all."""
    page = playing.page
    await playing.open()
    await playing.sign_in()
    await page.shows("Live")
    address = f"http://{playing.api.rest_address}/instances/arena"
    opening = f"globalThis.other = window.open('{address}')"
    await page.call("Runtime.evaluate", expression=opening, userGesture=True)
    await page.until("other.document.body.innerText.includes('Live')")
    locks = await page.run("navigator.locks.query().then(found => [found.held.length, found.pending.length])")
    assert locks == [1, 1]
    await playing.api.http.post("/instances/arena/stop")
    await page.until("other.document.body.innerText.includes('Stopped')")
    await page.shows("Stopped")
    await page.call("Runtime.evaluate", expression="other.close()")
    await playing.api.http.post("/instances/arena/start")
    await page.shows("Ready")


async def test_sign_in_and_stop_and_start_a_server(playing: Console) -> None:
    page = playing.page
    await playing.open()
    await page.shows("Sign in")
    await playing.sign_in(password="wrong")
    await page.shows("the name or the password is wrong")
    page.complaints.clear()  # of the missing session and the wrong password
    await playing.sign_in()
    await page.shows("node-1")
    await page.shows("Live")
    await page.until("document.querySelector('main table svg[role=img]')")  # what the node measures
    await page.click("a[href='/instances/arena']")
    await page.shows("Ready")
    await page.click("[role=group] button:nth-of-type(2)")
    await page.shows("Stop arena?")
    await page.click("[role=dialog] button[data-autofocus]")
    await page.shows("Stopped")
    assert (await idle(playing.api))["state"] == "stopped"
    await page.click("[role=group] button")
    await page.shows("Ready")
    assert (await idle(playing.api))["state"] == "ready"
    assert page.complaints == []
    assert all(address.startswith((f"http://{playing.api.rest_address}/", "about:")) for address in page.asked)
