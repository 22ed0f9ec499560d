"""Passkeys as users keep them: added by a proof, listed, renamed, removed; and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import text

from gamekeeper.db.models import PasskeyRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.passkey import MAX_PASSKEYS
from tests.api.rest.passkeys import person, with_passkey
from tests.api.rest.people import NEW_PASSWORD, PASSWORD, by, events, make_user, sign_in, token_of, whoami
from tests.fakes.passkeys import PRESENT, Browser, b64
from tests.fixtures.api import ApiUnderTest


@pytest.fixture(autouse=True)
async def master_key(api: ApiUnderTest) -> None:
    """Made by the api's loop, soon after its start."""
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()


async def test_a_passkey_is_added_listed_renamed_and_removed(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        listed = (await mia.http.get("/users/me/passkeys")).json()["items"]
        found = listed[0]
        assert (len(listed), found["name"], found["user_id"], found["rp_id"]) == (1, "laptop", made["id"], "localhost")
        assert (found["last_used_at"], found["last_used_from"], found["is_synced"]) == (None, "", False)
        path = f"/users/me/passkeys/{found['id']}"
        assert (await mia.http.patch(path, json={"name": " phone "})).json()["name"] == "phone"
        assert (await mia.http.patch(path, json={"name": "phone"})).status_code == 200
        of_admin = await api.http.get(f"/users/{made['id']}/passkeys")
        assert [item["name"] for item in of_admin.json()["items"]] == ["phone"]
        assert (await mia.remove(found["id"])).status_code == 204
        assert (await mia.remove(found["id"])).status_code == 404
        assert (await mia.sign_in_by_passkey()).json()["code"] == "unknown_passkey"
    told = [(item["kind"], item["message"], item["actor"]) for item in await events(api, "passkey")]
    assert told == [
        ("passkey.removed", "phone", "user:mia"),
        ("passkey.renamed", "phone", "user:mia"),
        ("passkey.added", "laptop", "user:mia"),
    ]
    about = (await events(api, "passkey.renamed"))[0]["data"]
    assert (about["user"], about["changes"]) == (made["id"], {"name": ["laptop", "phone"]})


async def test_the_database_has_no_secret_of_a_passkey(api: ApiUnderTest) -> None:
    await make_user(api)
    async with with_passkey(api) as mia:
        options = await mia.begin("mia")
        async with api.database.read() as session:
            rows = (await (await session.connection()).execute(text("SELECT * FROM passkeys"))).all()
        assert bytes(rows[0].public_key) == mia.browser.kept[0].cose()
        assert "mia" not in options["ticket"]
        assert options["public_key"]["challenge"] not in options["ticket"]


async def test_to_add_one_needs_a_proof(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with person(api) as mia:
        await mia.sign_in()
        wrong = await mia.options(password="wrong password")
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_password")
        none = await mia.http.post("/users/me/passkeys/options", json={})
        assert (none.status_code, none.json()["code"]) == (422, "proof_needed")
        options = (await mia.options()).json()
        assert options["public_key"]["user"]["id"] == b64(made["id"].encode())
        assert "displayName" in options["public_key"]["user"]
    key = (await api.http.post("/keys", json={"name": "a", "user": made["id"]})).json()["key"]
    for path, body in (
        ("/users/me/passkeys/options", {"password": PASSWORD}),
        ("/users/me/passkeys/proof-options", None),
        ("/users/me/password/remove", {"password": PASSWORD}),
    ):
        for caller in (by(key), {}):
            client = api.anonymous if caller else api.http
            answer = await client.post(path if not caller else f"/api/v1{path}", json=body, headers=caller)
            assert answer.status_code == 403, (path, answer.text)
    assert (await api.http.get("/users/me/passkeys")).status_code == 422


async def test_a_proof_takes_a_code_where_there_is_an_authenticator(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(api.process.services.second_factor, "_now", lambda: now)
    await make_user(api)
    async with person(api) as mia:
        await mia.sign_in()
        secret = (await mia.http.post("/users/me/totp", json={"password": PASSWORD})).json()["secret"]
        totp = pyotp.TOTP(secret)
        confirmed = await mia.http.post("/users/me/totp/confirm", json={"code": totp.at(int(now))})
        assert confirmed.status_code == 200, confirmed.text
        refused = await mia.options(password=PASSWORD)
        assert (refused.status_code, refused.json()["code"]) == (422, "wrong_code")
        code = totp.at(int(now) + 30)
        added = await mia.add(password=PASSWORD, code=code)
        assert added.status_code == 201, added.text
        assert (await mia.options(password=PASSWORD, code=code)).status_code == 422
        assert (await mia.sign_in()).json()["code"] == "code_needed"
        signed_in = await mia.sign_in_by_passkey()  # counts as both
        assert signed_in.status_code == 200, signed_in.text


async def test_a_passkey_is_a_proof_once(api: ApiUnderTest) -> None:
    await make_user(api)
    await make_user(api, "joe")
    async with with_passkey(api) as mia, with_passkey(api, "joe") as joe:
        proof = await mia.proof()
        other = await joe.http.post("/users/me/passkeys/options", json={"passkey": proof})
        assert (other.status_code, other.json()["code"]) == (422, "unknown_passkey")
        options = await mia.http.post("/users/me/passkeys/options", json={"passkey": proof})
        assert options.status_code == 200, options.text
        again = await mia.http.post("/users/me/passkeys/options", json={"passkey": proof})
        assert (again.status_code, again.json()["code"]) == (422, "challenge_used")
        challenge = await mia.begin()  # to sign in, and no proof
        misused = {"ticket": challenge["ticket"], "credential": mia.browser.get(challenge["public_key"])}
        refused = await mia.http.post("/users/me/passkeys/options", json={"passkey": misused})
        assert (refused.status_code, refused.json()["code"]) == (422, "wrong_ceremony")
        other_device = Browser()
        mia.browser, before = other_device, mia.browser
        assert (await mia.confirm(options.json(), "phone")).status_code == 201
        mia.browser = before
    async with person(api) as nobody:
        await nobody.sign_in()
        assert (await nobody.http.post("/users/me/passkeys/proof-options")).status_code == 200
    await make_user(api, "eve")
    async with person(api, "eve") as eve:
        await eve.sign_in()
        assert (await eve.http.post("/users/me/passkeys/proof-options")).status_code == 409


async def test_to_remove_one_needs_a_proof(api: ApiUnderTest) -> None:
    """A session that was left open is not enough."""
    made = await make_user(api)
    async with with_passkey(api) as mia:
        found = (await mia.http.get("/users/me/passkeys")).json()["items"][0]
        assert (await mia.http.delete(f"/users/me/passkeys/{found['id']}")).status_code >= 400
        none = await mia.http.post(f"/users/me/passkeys/{found['id']}/remove", json={})
        assert (none.status_code, none.json()["code"]) == (422, "proof_needed")
        wrong = await mia.remove(found["id"], password="wrong password")
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_password")
        key = (await api.http.post("/keys", json={"name": "a", "user": made["id"]})).json()["key"]
        path = f"/api/v1/users/me/passkeys/{found['id']}/remove"
        assert (await api.anonymous.post(path, json={"password": PASSWORD}, headers=by(key))).status_code == 403
        assert len((await mia.http.get("/users/me/passkeys")).json()["items"]) == 1
        assert (await mia.remove(found["id"], passkey=await mia.proof())).status_code == 204  # by that one itself
        assert (await mia.http.get("/users/me/passkeys")).json()["items"] == []


async def test_a_one_time_password_that_ran_out_proves_nothing(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        async with api.database.write() as session:
            (await UserRepository(session).get(made["id"])).password_until = utc_now() - timedelta(minutes=1)
        found = (await mia.http.get("/users/me/passkeys")).json()["items"][0]
        for refused in (await mia.options(), await mia.remove(found["id"])):
            assert (refused.status_code, refused.json()["code"]) == (422, "password_expired")
        authenticator = await mia.http.post("/users/me/totp", json={"password": PASSWORD})
        assert (authenticator.status_code, authenticator.json()["code"]) == (422, "password_expired")
        change = {"passkey": await mia.proof(), "new_password": NEW_PASSWORD}
        assert (await mia.http.post("/users/me/password", json=change)).status_code == 204
        assert (await mia.options(password=NEW_PASSWORD)).status_code == 200


async def test_who_has_but_a_password_that_ran_out_proves_it_by_a_fresh_sign_in(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with person(api) as mia:
        await mia.sign_in()
        async with api.database.write() as session:
            (await UserRepository(session).get(made["id"])).password_until = utc_now() - timedelta(minutes=1)
        options = await mia.http.post("/users/me/passkeys/options", json={})
        assert options.status_code == 200, options.text


async def test_a_user_may_have_passkeys_alone(api: ApiUnderTest) -> None:
    """And gets a password again by one of them. The last way in stays."""
    made = await make_user(api)
    async with with_passkey(api) as mia:
        other = await token_of(api)
        assert (await mia.http.post("/users/me/password/remove", json={"password": "wrong"})).status_code == 422
        removed = await mia.http.post("/users/me/password/remove", json={"password": PASSWORD})
        assert removed.status_code == 204, removed.text
        assert (await whoami(api, other)).status_code == 401
        assert (await sign_in(api)).json()["code"] == "wrong_password"
        assert (await sign_in(api, password="")).json()["code"] == "wrong_password"
        found = (await mia.http.get("/whoami")).json()["user"]
        assert (found["has_password"], found["must_change"]) == (False, False)
        assert (await mia.sign_in_by_passkey("mia")).status_code == 200
        passkey = (await mia.http.get("/users/me/passkeys")).json()["items"][0]
        last = await mia.remove(passkey["id"], passkey=await mia.proof())
        assert (last.status_code, last.json()["code"]) == (409, "last_way_in")
        none = await mia.http.post("/users/me/password", json={"old_password": "", "new_password": NEW_PASSWORD})
        assert (none.status_code, none.json()["code"]) == (422, "proof_needed")
        change = {"passkey": await mia.proof(), "new_password": NEW_PASSWORD}
        changed = await mia.http.post("/users/me/password", json=change)
        assert changed.status_code == 204, changed.text
        assert (await sign_in(api, password=NEW_PASSWORD)).status_code == 200
        assert (await mia.remove(passkey["id"], password=NEW_PASSWORD)).status_code == 204
    replaced = [item["data"]["replaced"] for item in await events(api, "user.changed")]
    assert replaced == [["password"], ["password_removed"]]
    assert (await api.http.get(f"/users/{made['id']}")).json()["has_password"] is True


async def test_a_password_without_a_passkey_stays(api: ApiUnderTest) -> None:
    await make_user(api)
    async with person(api) as mia:
        await mia.sign_in()
        refused = await mia.http.post("/users/me/password/remove", json={"password": PASSWORD})
        assert (refused.status_code, refused.json()["code"]) == (409, "last_way_in")
    assert (await sign_in(api)).status_code == 200


async def test_who_has_neither_proves_it_by_a_fresh_sign_in(api: ApiUnderTest) -> None:
    """As somebody does whom another server vouches for."""
    made = await make_user(api)
    async with person(api) as mia:
        begun = (await mia.sign_in()).json()
        async with api.database.write() as session:
            (await UserRepository(session).get(made["id"])).password_hash = ""
        options = await mia.http.post("/users/me/passkeys/options", json={})
        assert options.status_code == 200, options.text
        async with api.database.write() as session:
            begun_at = text("UPDATE sessions SET created_at = :at WHERE id = :id")
            at = utc_now() - timedelta(minutes=6)
            given = str(at.replace(tzinfo=None)) if "sqlite" in str(api.database.url) else at
            await (await session.connection()).execute(begun_at, {"at": given, "id": begun["session_id"]})
        refused = await mia.http.post("/users/me/passkeys/options", json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "sign_in_anew")
        assert (await mia.confirm(options.json())).status_code == 201


async def test_an_admin_removes_what_is_lost(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        token = await token_of(api)
        passkeys = f"/users/{made['id']}/passkeys"
        refused = await api.anonymous.delete(f"/api/v1{passkeys}", headers=by(token))
        assert refused.status_code == 403
        assert (await api.http.delete(f"{passkeys}/nothing")).status_code == 404
        found = (await api.http.get(passkeys)).json()["items"][0]
        assert (await api.http.delete(f"{passkeys}/{found['id']}")).status_code == 204
        assert (await whoami(api, token)).status_code == 401
        assert (await mia.sign_in_by_passkey()).status_code == 401
        assert (await api.http.delete(passkeys)).status_code == 204  # none is left
        assert (await mia.sign_in()).status_code == 200
        assert (await mia.add("again")).status_code == 201
        assert (await api.http.delete(passkeys)).status_code == 204
        assert (await api.http.get(passkeys)).json()["items"] == []
    removed = await events(api, "passkey.removed")
    assert [item["actor"] for item in removed] == ["key:admin", "key:admin"]
    ended = await events(api, "session.ended")
    assert "passkey_removed" in {item["reason"] for item in ended}


async def test_another_users_passkey_is_not_there(api: ApiUnderTest) -> None:
    await make_user(api)
    joe = await make_user(api, "joe")
    async with with_passkey(api) as mia, with_passkey(api, "joe") as other:
        found = (await mia.http.get("/users/me/passkeys")).json()["items"][0]
        for answer in (
            await other.remove(found["id"]),
            await other.http.patch(f"/users/me/passkeys/{found['id']}", json={"name": "mine"}),
            await api.http.delete(f"/users/{joe['id']}/passkeys/{found['id']}"),
        ):
            assert answer.status_code == 404
        assert len((await mia.http.get("/users/me/passkeys")).json()["items"]) == 1


async def test_the_passkey_of_the_last_admin_stays(api: ApiUnderTest) -> None:
    """An admin that signs in by passkeys alone counts as one; without them nobody could let others in."""
    made = await make_user(api, "root", role="admin")
    async with with_passkey(api, "root") as root:
        assert (await root.http.post("/users/me/password/remove", json={"password": PASSWORD})).status_code == 204
        keys = (await api.http.get("/keys")).json()["items"]
        for key in keys:
            assert (await root.http.delete(f"/keys/{key['id']}")).status_code == 204
        refused = await root.http.delete(f"/users/{made['id']}/passkeys")
        assert (refused.status_code, "last who may let others in" in refused.json()["detail"]) == (409, True)
        assert (await root.sign_in_by_passkey()).status_code == 200


async def test_nobody_takes_the_passkeys_of_who_may_more(api: ApiUnderTest) -> None:
    made = await make_user(api, "root", role="admin")
    clerk = await make_user(api, "clerk", role="guest")
    grant = {"holder": {"kind": "user", "id": clerk["id"]}, "verbs": ["admin", "see"], "on": {"kind": "server"}}
    given = await api.http.post("/grants", json=grant)
    async with with_passkey(api, "root") as root:
        token = await token_of(api, "clerk")
        assert given.status_code == 201, given.text
        answer = await api.anonymous.delete(f"/api/v1/users/{made['id']}/passkeys", headers=by(token))
        assert answer.status_code == 403, answer.text
        assert (await root.sign_in_by_passkey()).status_code == 200


async def test_a_user_has_so_many(api: ApiUnderTest) -> None:
    made = await make_user(api)
    async with with_passkey(api) as mia:
        options, late = (await mia.options()).json(), (await mia.options()).json()
        async with api.database.write() as session:
            for number in range(2, MAX_PASSKEYS):
                own = {"user_id": made["id"], "credential_id": f"c{number}", "name": f"key {number}"}
                session.add(PasskeyRow(**own, rp_id="localhost", public_key=b""))
        mia.browser = Browser()
        assert (await mia.confirm(options, "the last")).status_code == 201
        for refused in (await mia.options(), await mia.confirm(late, "one more")):
            assert (refused.status_code, refused.json()["detail"]) == (409, f"you have {MAX_PASSKEYS} passkeys already")


async def test_no_two_have_one_name_or_one_key(api: ApiUnderTest) -> None:
    await make_user(api)
    async with with_passkey(api) as mia:
        first, mia.browser = mia.browser, Browser()
        assert (await mia.add("LAPTOP")).status_code == 409
        assert (await mia.add("phone")).status_code == 201
        found = (await mia.http.get("/users/me/passkeys")).json()["items"][1]
        renamed = await mia.http.patch(f"/users/me/passkeys/{found['id']}", json={"name": "laptop"})
        assert renamed.status_code == 409
        options = (await mia.options()).json()
        assert [item["id"] for item in options["public_key"]["excludeCredentials"]] == [
            b64(first.kept[0].id),
            b64(mia.browser.kept[-1].id),
        ]
        body = {"name": "again", "ticket": options["ticket"]}
        answer = await mia.http.post(
            "/users/me/passkeys", json=body | {"credential": first.attest(first.kept[0], options["public_key"])}
        )
        assert (answer.status_code, answer.json()["detail"]) == (409, "this passkey is there already")


async def test_what_is_no_name_is_refused(api: ApiUnderTest) -> None:
    await make_user(api)
    async with person(api) as mia:
        await mia.sign_in()
        options = (await mia.options()).json()
        for name in ("", " ", "x" * 101, "a\x1b[2Jb", "\u202e"):
            assert (await mia.confirm(options, name)).status_code == 422, name
        assert (await mia.confirm(options, "x" * 100)).status_code == 201


async def test_a_wrong_answer_adds_nothing(api: ApiUnderTest) -> None:
    """Each fault has its words in tests/api/services/access/test_passkey_answers.py."""
    await make_user(api)
    async with person(api) as mia:
        await mia.sign_in()
        options = (await mia.options()).json()
        for code, browser in (
            ("wrong_origin", Browser(origin="https://evil.example")),
            ("wrong_rp", Browser(rp_id="evil.example")),
            ("user_unverified", Browser(flags=PRESENT)),
        ):
            mia.browser = browser
            answer = await mia.confirm(options)
            assert (answer.status_code, answer.json()["code"]) == (422, code)
            assert answer.json()["hint"]
        assert (await mia.http.get("/users/me/passkeys")).json()["items"] == []


async def test_a_challenge_adds_one_and_is_of_one_session(api: ApiUnderTest) -> None:
    await make_user(api)
    await make_user(api, "joe")
    async with person(api) as mia, person(api, "joe") as joe:
        await mia.sign_in()
        await joe.sign_in()
        options = (await mia.options()).json()
        stolen = await joe.confirm(options)
        assert (stolen.status_code, stolen.json()["code"]) == (422, "wrong_ceremony")
        assert (await mia.confirm(options)).status_code == 201
        passkey = (await mia.http.get("/users/me/passkeys")).json()["items"][0]
        assert (await mia.remove(passkey["id"])).status_code == 204
        mia.browser = Browser()
        again = await mia.confirm(options)
        assert (again.status_code, again.json()["code"]) == (422, "challenge_used")
        made_up = await mia.confirm(options | {"ticket": "mk-00000000." + "A" * 80})
        assert made_up.status_code == 422
