"""The page `/docs` as a browser shows it: every operation, with nothing from outside, and calls made with the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.fixtures.browser import Page, browser_page

DOCUMENT = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())
OPERATIONS = sorted(call["operationId"] for path in DOCUMENT["paths"].values() for call in path.values())


async def give_key(page: Page, key: str) -> None:
    await page.run(f"document.getElementById('key').value = {json.dumps(key)}")
    await page.click("#key-form button")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_page_lists_every_operation_offline(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.serve_rest()
    await api.add_node("shown-by-the-page")
    async with browser_page(tmp_path / "browser") as page:
        await page.open(f"http://{api.rest_address}/docs")
        await give_key(page, "wrong")
        await page.until("document.getElementById('trouble').textContent.includes('not known here')")
        page.complaints.clear()  # of the wrong key
        await give_key(page, ADMIN_KEY)
        await page.until("document.querySelector('.opblock-tag')")
        await page.run("document.querySelectorAll('.opblock-tag').forEach(tag => tag.click())")
        await page.until(f"document.querySelectorAll('.opblock').length >= {len(OPERATIONS)}")
        shown = await page.run("[...document.querySelectorAll('.opblock')].map(one => one.id)")
        assert sorted(one.rpartition("-")[2] for one in shown) == OPERATIONS
        nodes = "#operations-nodes-list_nodes"
        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            await page.click(f"{nodes} {button}")
        await page.until(f"document.querySelector('{nodes} .live-responses-table')")
        answer = await page.run(f"document.querySelector('{nodes} .live-responses-table').innerText")
        assert "shown-by-the-page" in answer
        assert [
            address for address in page.asked if not address.startswith((f"http://{api.rest_address}/", "data:"))
        ] == []
        assert [text for text in page.complaints if "favicon" not in text] == []
