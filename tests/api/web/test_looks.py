"""Every page as people see it: light, dark, on a phone and in Chinese. axe finds nothing serious, nothing is wider than
the window, and the browser complains of nothing. The pictures are for eyes: .cache/pictures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.web import ROOT, WEB
from tests.api.web.conftest import Console

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PICTURES = ROOT / ".cache" / "pictures"
AXE = (WEB / "node_modules" / "axe-core" / "axe.min.js").read_text
SERIOUS = ("serious", "critical")
PAGES = {
    "home": ("/", "node-1"),
    "instances": ("/instances", "arena"),
    "instance": ("/instances/arena", "a:1"),
    "instance-events": ("/instances/arena?tab=events", "instance.ready"),
    "nodes": ("/nodes", "node-1"),
    "missing": ("/no/such/page", "404"),
}
LOOKS = {
    "light": ("light", "en", (1440, 900), False),
    "dark": ("dark", "en", (1440, 900), False),
    "narrow": ("light", "en", (1024, 768), False),
    "phone": ("light", "en", (390, 844), True),
    "phone-dark": ("dark", "en", (390, 844), True),
    "zh": ("light", "zh", (1440, 900), False),
}


async def wear(console: Console, look: str) -> None:
    scheme, language, (width, height), is_phone = LOOKS[look]
    await console.page.resize(width, height, is_phone=is_phone)
    await console.page.prefer(scheme)
    await console.page.run(f"localStorage.setItem('gamekeeper.language', {json.dumps(language)})")


async def look_at(console: Console, name: str, look: str) -> list[Any]:
    """Takes a picture of the page that is shown, and returns the faults that axe finds in it."""
    await console.page.run("document.fonts.ready.then(() => true)")
    await console.page.picture(PICTURES / f"{name}-{look}.png")
    await console.page.run(f"{AXE()}; true")
    found = await console.page.run("axe.run().then(found => JSON.stringify(found.violations))")
    wrong: list[Any] = [
        (name, look, each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"][:300])
        for each in json.loads(found)
        if each["impact"] in SERIOUS
    ]
    if await console.page.run("document.documentElement.scrollWidth > window.innerWidth"):
        wrong.append((name, look, "wider than the window"))
    return wrong


async def test_every_page_in_every_look(playing: Console) -> None:
    wrong: list[Any] = []
    await playing.open()
    for look in LOOKS:
        await wear(playing, look)
        await playing.open()
        await playing.page.until("document.querySelector('form')")
        wrong += await look_at(playing, "sign-in", look)
    await playing.sign_in()
    await playing.page.until("document.querySelector('nav')")
    playing.page.complaints.clear()  # of the session that was missing
    for look in LOOKS:
        await wear(playing, look)
        for name, (path, text) in PAGES.items():
            await playing.open(path)
            await (
                playing.page.until("document.querySelector('main .panel')")
                if text == "404"
                else playing.page.shows(text)
            )
            wrong += await look_at(playing, name, look)
    assert "\n".join(map(str, wrong)) == ""
    assert playing.page.complaints == []
