"""The console as it is built, served by an api with a node, a game server and a user, and a browser before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import web
from tests.api.rest.people import PASSWORD, make_user
from tests.api.rest.test_instance import create, idle
from tests.api.rest.test_instance_on_a_node import container, with_agent
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.browser import Page, browser_page


@pytest.fixture(scope="session")
def built() -> None:
    """Built once for each content of its sources; ``make test`` has done so already."""
    web.ready()


@dataclass
class Console:
    api: ApiUnderTest
    page: Page

    async def open(self, path: str = "/") -> None:
        await self.page.open(f"http://{self.api.rest_address}{path}")

    async def sign_in(self, name: str = "mia", password: str = PASSWORD) -> None:
        await self.page.type("input[autocomplete=username]", name)
        await self.page.type("input[autocomplete=current-password]", password)
        await self.page.click("button[type=submit]")


@asynccontextmanager
async def console_of(api: ApiUnderTest, folder: Path) -> AsyncIterator[Console]:
    await api.serve_rest()
    async with browser_page(folder) as page:
        yield Console(api, page)


@pytest.fixture
async def console(built: None, api: ApiUnderTest, tmp_path: Path) -> AsyncIterator[Console]:
    """With the user mia, an operator, and nothing else."""
    await make_user(api)
    async with console_of(api, tmp_path / "browser") as made:
        yield made


@pytest.fixture
async def playing(console: Console) -> Console:
    """With the game server "arena" on a node as well."""
    await with_agent(console.api)
    await create(console.api, container=container())
    await idle(console.api)
    return console
