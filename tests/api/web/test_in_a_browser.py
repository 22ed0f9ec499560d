"""The ways people go through the console, in a real browser against a real api and an agent with a dummy engine."""

from __future__ import annotations

import pytest

from tests.api.rest.test_instance import idle
from tests.api.web.conftest import Console

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


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
