"""The sign-in by a passkey over REST: what it lets in, what it refuses and tells, and what it costs others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from gamekeeper.db.models.columns import utc_now
from tests.api.rest.passkeys import person, with_passkey
from tests.api.rest.people import client, events, make_user, sign_in
from tests.fakes.passkeys import PRESENT, Browser, b64
from tests.fixtures.api import ApiUnderTest


@pytest.fixture(autouse=True)
async def master_key(api: ApiUnderTest) -> None:
    """Made by the api's loop, soon after its start."""
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()


async def counted(api: ApiUnderTest, table: str) -> int:
    async with api.database.read() as session:
        query = text(f"SELECT count(*) FROM {table}")
        return int((await (await session.connection()).execute(query)).scalar_one())


async def refused(answer: Any, code: str, status: int = 401) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["hint"]
    assert "set-cookie" not in answer.headers


async def failures(api: ApiUnderTest) -> list[tuple[str, str]]:
    """The oldest first."""
    return [(item["reason"], item["message"]) for item in reversed(await events(api, "sign_in.failed"))]


async def test_a_passkey_signs_in_without_a_name_and_with_one(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        for name in ("", "mia", "MIA"):
            answer = await mia.sign_in_by_passkey(name)
            assert answer.status_code == 200, answer.text
            assert answer.headers["cache-control"] == "no-store"
            found = answer.json()
            assert (found["user"], found["user_id"], found["token"]) == ("mia", made["id"], "")
        assert (await mia.http.get("/whoami")).json()["actor"] == "user:mia"
        begun = (await mia.http.get("/sessions")).json()["items"]
        assert sorted((item["how"], item["state"]) for item in begun) == [
            ("passkey", "ended"),
            ("passkey", "ended"),
            ("passkey", "open"),
            ("password", "ended"),
        ]
        passkey = (await mia.http.get("/users/me/passkeys")).json()["items"][0]
        assert (passkey["last_used_at"] is not None, passkey["last_used_from"]) == (True, "127.0.0.1")
        token = await mia.finish(await mia.begin(), keeps="token")
        assert token.json()["token"].startswith("gks_")
    assert (await events(api, "session.begun"))[0]["data"]["how"] == "passkey"
    assert await failures(api) == []


async def test_options_tell_nothing_of_a_name(api: ApiUnderTest) -> None:
    await make_user(api)
    async with with_passkey(api) as mia:
        there, away, other = await mia.begin("mia"), await mia.begin("nobody"), await mia.begin("mia")
        assert there["public_key"].pop("challenge") != other["public_key"].pop("challenge")
        away["public_key"].pop("challenge")
        assert there["public_key"] == away["public_key"]
        assert there["public_key"]["allowCredentials"] == []
        assert (there["public_key"]["rpId"], there["public_key"]["userVerification"]) == ("localhost", "required")
        assert len(there["ticket"]) == len(away["ticket"])
        await refused(await mia.finish(await mia.begin("nobody")), "wrong_answer")
    await make_user(api, "joe")
    async with with_passkey(api, "joe") as joe:
        await refused(await joe.finish(await joe.begin("mia")), "wrong_answer")


async def test_a_wrong_answer_is_refused_and_told(api: ApiUnderTest) -> None:
    """Each fault of an answer has its words in tests/api/services/access/test_passkey_answers.py."""
    await make_user(api)
    async with with_passkey(api) as mia:
        honest, thief = mia.browser, mia.browser.copy()
        thief.origin = "https://evil.example"
        await refused(await mia.sign_in_by_passkey(browser=thief), "wrong_origin")
        thief = honest.copy()
        thief.flags = PRESENT
        await refused(await mia.sign_in_by_passkey(browser=thief), "user_unverified")
        stranger = Browser()
        stranger.kept = [type(honest.kept[0])(b"x" * 32, honest.kept[0].key, "localhost", b"x")]
        await refused(await mia.sign_in_by_passkey(browser=stranger), "unknown_passkey")
        assert (await mia.sign_in_by_passkey()).status_code == 200
    assert await failures(api) == [("wrong_origin", "mia"), ("user_unverified", "mia"), ("unknown_passkey", "")]
    told = (await events(api, "sign_in.failed"))[0]
    assert (told["actor"], told["data"]["address"]) == ("anonymous", "127.0.0.1")


async def test_a_challenge_is_answered_once(api: ApiUnderTest) -> None:
    await make_user(api)
    async with with_passkey(api) as mia:
        options = await mia.begin()
        credential = mia.browser.get(options["public_key"])
        body = {"ticket": options["ticket"], "credential": credential}
        assert (await mia.http.post("/sign-in/passkey", json=body)).status_code == 200
        await refused(await mia.http.post("/sign-in/passkey", json=body), "challenge_used")
        await refused(await mia.finish(options), "challenge_used")  # signed anew
        other = await mia.begin()
        await refused(
            await mia.http.post("/sign-in/passkey", json=body | {"ticket": other["ticket"]}), "wrong_challenge"
        )
    assert {code for code, _ in await failures(api)} == {"challenge_used", "wrong_challenge"}


async def test_a_challenge_is_of_one_browser(api: ApiUnderTest) -> None:
    """Two pages of one browser may each have one."""
    await make_user(api)
    async with with_passkey(api) as mia, person(api) as other:
        options, later = await mia.begin(), await mia.begin()
        other.browser = mia.browser
        await refused(await other.finish(options), "wrong_ceremony")
        await other.begin()
        await refused(await other.finish(options), "wrong_ceremony")
        await refused(await mia.finish(options | {"ticket": "made.up"}), "wrong_ceremony")
        assert (await mia.finish(later)).status_code == 200
        assert (await mia.finish(options)).status_code == 200


async def test_a_challenge_runs_out(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is noted of those that were answered is forgotten with it."""
    await make_user(api)
    async with with_passkey(api) as mia:
        assert (await mia.sign_in_by_passkey()).status_code == 200
        options = await mia.begin()
        late = utc_now() + timedelta(minutes=6)
        monkeypatch.setattr("api.services.access.ceremonies.utc_now", lambda: late)
        await refused(await mia.finish(options), "challenge_expired")
        assert (await mia.sign_in_by_passkey()).status_code == 200
    assert await failures(api) == []  # nobody did anything wrong
    assert await counted(api, "spent_challenges") == 1


async def test_a_copy_of_a_passkey_is_refused(api: ApiUnderTest) -> None:
    """Whoever of both comes second: the count goes back."""
    await make_user(api)
    async with with_passkey(api) as mia:
        thief = mia.browser.copy()
        assert (await mia.sign_in_by_passkey()).status_code == 200
        assert (await mia.sign_in_by_passkey()).status_code == 200
        await refused(await mia.sign_in_by_passkey(browser=thief), "passkey_cloned")
        assert await failures(api) == [("passkey_cloned", "mia")]
        proof = await mia.proof()
        proof["credential"] = thief.get((await mia.http.post("/users/me/passkeys/proof-options")).json()["public_key"])
        answer = await mia.http.post("/users/me/passkeys/options", json={"passkey": proof})
        assert answer.status_code == 422
        assert (await mia.sign_in_by_passkey()).status_code == 200
        mia.browser.counts = False  # and told a count before
        await refused(await mia.sign_in_by_passkey(), "passkey_cloned")


async def test_a_key_ring_counts_nothing(api: ApiUnderTest) -> None:
    await make_user(api)
    async with person(api) as mia:
        mia.browser.counts = False
        assert (await mia.sign_in()).status_code == 200
        assert (await mia.add()).status_code == 201
        assert [(await mia.sign_in_by_passkey()).status_code for _ in range(2)] == [200, 200]


async def test_the_authenticator_says_whose_it_is(api: ApiUnderTest) -> None:
    """A passkey that is kept under another user's name opens neither."""
    await make_user(api)
    joe = await make_user(api, "joe")
    async with with_passkey(api) as mia:
        mia.browser.kept[0].user_handle = joe["id"].encode()
        await refused(await mia.sign_in_by_passkey(), "wrong_answer")
        mia.browser.kept[0].user_handle = b""
        await refused(await mia.sign_in_by_passkey(), "wrong_answer")


async def test_disabled_users_and_services_are_refused(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        assert (await api.http.patch(f"/users/{made['id']}", json={"state": "disabled"})).status_code == 200
        answer = await mia.sign_in_by_passkey()
        assert (answer.status_code, answer.json()["detail"]) == (403, 'the user "mia" is disabled')
        assert await failures(api) == [("disabled", "mia")]
        assert (await api.http.patch(f"/users/{made['id']}", json={"state": "active"})).status_code == 200
        assert (await mia.sign_in_by_passkey()).status_code == 200
        async with api.database.write() as session:
            query = text("UPDATE users SET kind = 'service' WHERE name = 'mia'")
            await (await session.connection()).execute(query)
        answer = await mia.sign_in_by_passkey()
        assert (answer.status_code, "is a service" in answer.json()["detail"]) == (401, True)
        assert (await api.http.delete(f"/users/{made['id']}")).status_code == 204
        assert await counted(api, "passkeys") == 0
        await refused(await mia.sign_in_by_passkey(), "unknown_passkey")


async def test_passkeys_stay_with_a_new_password(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        reset = await api.http.post(f"/users/{made['id']}/password-reset")
        assert reset.status_code == 200
        assert (await mia.http.get("/whoami")).status_code == 401
        assert (await mia.sign_in_by_passkey()).status_code == 200
        once = reset.json()["one_time_password"]
        assert (await sign_in(api, password=once)).json()["code"] == "password_change_needed"


async def test_begun_sign_ins_cost_nothing_lasting(api: ApiUnderTest) -> None:
    """A flood of them is slowed for its own address, and leaves no row behind."""
    await make_user(api)
    async with with_passkey(api) as mia, client(api, address="203.0.113.9") as stranger:
        answers = [(await stranger.post("/sign-in/passkey/options", json={})).status_code for _ in range(40)]
        assert set(answers) == {200, 429}
        assert answers.count(200) >= 30
        assert await counted(api, "spent_challenges") == 1  # of the passkey that was added
        assert (await mia.sign_in_by_passkey()).status_code == 200


async def test_wrong_passkeys_wait_and_lock_nobody_out(api: ApiUnderTest) -> None:
    await make_user(api)
    async with with_passkey(api) as mia, person(api, address="203.0.113.9") as stranger:
        stranger.browser = mia.browser.copy()
        stranger.browser.kept[0].key = ec.generate_private_key(ec.SECP256R1())
        statuses = [(await stranger.sign_in_by_passkey()).status_code for _ in range(8)]
        assert (statuses[0], 429 in statuses) == (401, True)
        assert (await mia.sign_in_by_passkey()).status_code == 200
    assert len(await events(api, "sign_in.failed")) <= 5


async def test_other_sites_and_plain_http_are_refused(api: ApiUnderTest) -> None:
    async with client(api) as http:
        for path, body in (("/sign-in/passkey/options", {}), ("/sign-in/passkey", _empty())):
            answer = await http.post(path, json=body, headers={"origin": "https://evil.example"})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin"), path
    async with client(api, "http://gk.example") as http:
        answer = await http.post("/sign-in/passkey/options", json={})
        assert (answer.status_code, answer.json()["code"]) == (422, "plain_http")
    async with client(api, "https://gk.example") as http:
        answer = await http.post("/sign-in/passkey/options", json={})
        assert answer.json()["public_key"]["rpId"] == "localhost"  # whatever Host says
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-gk_ceremony=")
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))


async def test_what_is_no_answer_is_refused(api: ApiUnderTest) -> None:
    good = _empty()
    credential, response = good["credential"], good["credential"]["response"]
    async with client(api) as http:
        for body in (
            good | {"ticket": "\u00e4"},
            good | {"ticket": "a" * 1001},
            good | {"credential": credential | {"id": "A"}},  # base64url of no byte at all
            good | {"credential": credential | {"type": "password"}},
            good | {"credential": credential | {"response": response | {"signature": "AB=="}}},
            good | {"credential": credential | {"response": response | {"signature": "A" * 8196}}},
            good | {"keeps": "everything"},
            good | {"admin": True},
        ):
            answer = await http.post("/sign-in/passkey", json=body)
            assert answer.status_code == 422, answer.text
        large = await http.post("/sign-in/passkey", content=b"{" + b" " * 20_000 + b"}")
        assert large.status_code == 413


def _empty() -> dict[str, Any]:
    data = b64(b"x")
    response = {"clientDataJSON": data, "authenticatorData": data, "signature": data}
    return {"ticket": "a.b", "credential": {"id": data, "rawId": data, "type": "public-key", "response": response}}
