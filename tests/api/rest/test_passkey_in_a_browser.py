"""A passkey in a real browser, whose own authenticator makes and uses it: what our options ask for, browsers take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.domain.access.passkey import RelyingParty
from tests.api.rest.people import PASSWORD, events, make_user
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.browser import Page, browser_page

POST = """
window.post = async (path, body) => {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": window.csrf ?? "" };
  const answer = await fetch("/api/v1" + path, { method: "POST", body: JSON.stringify(body), headers });
  const found = { status: answer.status, ...(await answer.json()) };
  window.csrf = found.csrf_token ?? window.csrf;
  return found;
};
window.add = async (proof, name) => {
  const { ticket, public_key } = await post("/users/me/passkeys/options", proof);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(public_key);
  const credential = (await navigator.credentials.create({ publicKey })).toJSON();
  return post("/users/me/passkeys", { ticket, name, credential });
};
window.signIn = async () => {
  const { ticket, public_key } = await post("/sign-in/passkey/options", {});
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(public_key);
  const credential = (await navigator.credentials.get({ publicKey })).toJSON();
  return post("/sign-in/passkey", { ticket, credential });
};
"""
# As the one that is built into a laptop or a phone.
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


async def run(page: Page, script: str, *words: Any) -> Any:
    return await page.run(f"{script}({', '.join(json.dumps(word) for word in words)})")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_browser_adds_a_passkey_and_signs_in_by_it(
    api: ApiUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()  # makes the first key
    await make_user(api)
    await api.serve_rest()
    origin = f"http://localhost:{api.rest_port}"
    ceremonies = api.process.services.people.passkeys._ceremonies
    monkeypatch.setattr(ceremonies, "_rp", RelyingParty("localhost", (origin,)))  # the port is known now
    async with browser_page(tmp_path / "browser") as page:
        await page.open(f"{origin}/livez")
        await page.call("WebAuthn.enable")
        await page.call("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
        await page.run(POST)
        signed_in = await run(page, "post", "/sign-in", {"name": "mia", "password": PASSWORD})
        assert signed_in["user"] == "mia", signed_in
        added = await run(page, "add", {"password": PASSWORD}, "laptop")
        assert (added["status"], added["name"], added["rp_id"]) == (201, "laptop", "localhost"), added
        for _ in range(2):
            found = await run(page, "signIn")
            assert (found["status"], found.get("user")) == (200, "mia"), found
    assert [item["data"]["how"] for item in await events(api, "session.begun")] == ["passkey", "passkey", "password"]
