"""Authenticators over REST: codes that are taken once, recovery codes, and what of them is in the database."""

from __future__ import annotations

import time
from typing import Any

import pyotp
import pytest
from sqlalchemy import text

from api.services.access.sign_in_rates import FREE_OF_PAIR
from tests.api.rest.people import PASSWORD, by, events, make_user, sign_in, token_of, whoami
from tests.fixtures.api import ApiUnderTest


class Clock:
    """The time by which codes are taken; it stands until the test moves it."""

    def __init__(self) -> None:
        self.now = time.time() // 30 * 30

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def clock(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()  # makes the first key
    monkeypatch.setattr(api.process.services.second_factor, "_now", made)
    return made


async def asked(api: ApiUnderTest, token: str, path: str, **body: Any) -> Any:
    return await api.anonymous.post(f"/api/v1/users/me/{path}", json=body, headers=by(token))


async def enrol(api: ApiUnderTest, clock: Clock, token: str) -> tuple[pyotp.TOTP, list[str]]:
    made = await asked(api, token, "totp", password=PASSWORD)
    assert made.status_code == 200, made.text
    totp = pyotp.TOTP(made.json()["secret"])
    assert made.json()["uri"] == totp.provisioning_uri(name="mia", issuer_name="Gamekeeper")
    confirmed = await asked(api, token, "totp/confirm", code=totp.at(int(clock.now)))
    assert confirmed.status_code == 200, confirmed.text
    return totp, list(confirmed.json()["codes"])


async def test_a_sign_in_asks_for_a_code_and_takes_each_once(api: ApiUnderTest, clock: Clock) -> None:
    await make_user(api)
    totp, codes = await enrol(api, clock, await token_of(api))
    needed = await sign_in(api)
    assert (needed.status_code, needed.json()["code"]) == (401, "code_needed")
    assert (await sign_in(api, password="wrong password")).json()["code"] == "wrong_password"
    used = await sign_in(api, code=totp.at(int(clock.now)))  # by the confirmation
    assert (used.status_code, used.json()["code"]) == (401, "wrong_code")
    clock.now += 30
    code = totp.at(int(clock.now))
    assert (await sign_in(api, code=f"{code[:3]} {code[3:]}")).status_code == 200
    assert (await sign_in(api, code=code)).status_code == 401
    assert (await sign_in(api, code=totp.at(int(clock.now) - 30))).status_code == 401  # older than the last
    clock.now += 90
    assert (await sign_in(api, code=totp.at(int(clock.now) - 60))).status_code == 401  # out of the window
    assert (await sign_in(api, code=totp.at(int(clock.now) + 30))).status_code == 200
    begun = await api.http.get("/sessions", params={"user": "all"})
    assert {item["how"] for item in begun.json()["items"]} == {"password", "password, totp"}
    assert len(codes) == 10


async def test_a_recovery_code_is_good_once(api: ApiUnderTest, clock: Clock) -> None:
    await make_user(api)
    token = await token_of(api)
    _, codes = await enrol(api, clock, token)
    assert (await sign_in(api, code=codes[0].upper())).status_code == 200
    assert (await sign_in(api, code=codes[0])).status_code == 401
    fresh = await asked(api, token, "recovery-codes", password=PASSWORD, code=codes[1])
    assert fresh.status_code == 200, fresh.text
    assert (await sign_in(api, code=codes[2])).status_code == 401
    assert (await sign_in(api, code=fresh.json()["codes"][0])).status_code == 200


async def test_a_code_is_of_one_user(api: ApiUnderTest, clock: Clock) -> None:
    await make_user(api)
    await make_user(api, "joe")
    totp, codes = await enrol(api, clock, await token_of(api))
    made = await asked(api, joes := await token_of(api, "joe"), "totp", password=PASSWORD)
    secret = pyotp.TOTP(made.json()["secret"])
    assert (await asked(api, joes, "totp/confirm", code=secret.at(int(clock.now)))).status_code == 200
    clock.now += 30
    for code in (totp.at(int(clock.now)), codes[0]):
        assert (await sign_in(api, "joe", code=code)).status_code == 401


async def test_an_authenticator_counts_once_it_is_confirmed(api: ApiUnderTest, clock: Clock) -> None:
    await make_user(api)
    token = await token_of(api)
    assert (await asked(api, token, "totp/confirm", code="123456")).status_code == 409
    assert (await asked(api, token, "totp", password="wrong password")).status_code == 422
    assert (await asked(api, token, "recovery-codes", password=PASSWORD)).status_code == 409
    made = await asked(api, token, "totp", password=PASSWORD)
    assert made.headers["cache-control"] == "no-store"
    assert (await sign_in(api)).status_code == 200
    for wrong in ("", "000000", "x", "\u0660\u0661\u0662\u0663\u0664\u0665"):
        assert (await asked(api, token, "totp/confirm", code=wrong)).status_code == 422
    assert (await sign_in(api)).status_code == 200
    code = pyotp.TOTP(made.json()["secret"]).at(int(clock.now))
    assert (await asked(api, token, "totp/confirm", code=code)).status_code == 200
    assert (await sign_in(api)).status_code == 401
    assert (await asked(api, token, "totp/confirm", code=code)).status_code == 409


async def test_an_authenticator_is_changed_and_removed_by_whoever_has_it(api: ApiUnderTest, clock: Clock) -> None:
    made = await make_user(api)
    token = await token_of(api)
    totp, _ = await enrol(api, clock, token)
    clock.now += 30
    for path in ("totp", "totp/remove", "recovery-codes"):
        refused = await asked(api, token, path, password=PASSWORD)
        assert (refused.status_code, refused.json()["code"]) == (422, "wrong_code")
    assert (await asked(api, token, "totp", password="wrong", code=totp.at(int(clock.now)))).status_code == 422
    key = (await api.http.post("/keys", json={"name": "a", "user": made["id"]})).json()["key"]
    assert (await asked(api, key, "totp/remove", password=PASSWORD, code=totp.at(int(clock.now)))).status_code == 403
    removed = await asked(api, token, "totp/remove", password=PASSWORD, code=totp.at(int(clock.now)))
    assert removed.status_code == 204, removed.text
    assert (await sign_in(api)).status_code == 200
    assert (await events(api, "user.changed"))[0]["data"]["replaced"] == ["totp_removed"]


@pytest.mark.parametrize(
    "path", ["totp", "totp/remove", "recovery-codes", "passkeys/options", "passkeys/none/remove", "password/remove"]
)
async def test_wrong_codes_beside_the_right_password_wait_as_wrong_passwords_do(
    api: ApiUnderTest, clock: Clock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    stands = time.monotonic()
    monkeypatch.setattr(api.process.services.second_factor._rates, "_clock", lambda: stands)
    await make_user(api)
    token = await token_of(api)
    await enrol(api, clock, token)
    for _ in range(FREE_OF_PAIR):
        wrong = await asked(api, token, path, password=PASSWORD, code="000000")
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_code")
    waits = await asked(api, token, path, password=PASSWORD, code="000000")
    assert waits.status_code == 429, waits.text
    assert int(waits.headers["retry-after"]) > 0


async def test_a_right_code_forgets_the_wrong_ones(api: ApiUnderTest, clock: Clock) -> None:
    await make_user(api)
    token = await token_of(api)
    _, codes = await enrol(api, clock, token)
    for code in codes[:2]:
        for _ in range(FREE_OF_PAIR - 1):
            assert (await asked(api, token, "totp", password=PASSWORD, code="000000")).status_code == 422
        assert (await asked(api, token, "totp", password=PASSWORD, code=code)).status_code == 200


async def test_nobody_takes_the_authenticator_of_who_may_more(api: ApiUnderTest, clock: Clock) -> None:
    made = await make_user(api, role="admin")
    clerk = await make_user(api, "clerk", role="guest")
    grant = {"holder": {"kind": "user", "id": clerk["id"]}, "verbs": ["admin", "see"], "on": {"kind": "server"}}
    assert (await api.http.post("/grants", json=grant)).status_code == 201
    await enrol(api, clock, await token_of(api))
    clerks = by(await token_of(api, "clerk"))
    refused = await api.anonymous.delete(f"/api/v1/users/{made['id']}/totp", headers=clerks)
    assert refused.status_code == 403, refused.text
    assert (await sign_in(api)).json()["code"] == "code_needed"


async def test_an_admin_turns_it_off_for_who_has_lost_it(api: ApiUnderTest, clock: Clock) -> None:
    made = await make_user(api)
    token = await token_of(api)
    await enrol(api, clock, token)
    assert (await api.anonymous.delete(f"/api/v1/users/{made['id']}/totp", headers=by(token))).status_code == 403
    assert (await api.http.delete(f"/users/{made['id']}/totp")).status_code == 204
    assert (await sign_in(api)).status_code == 200
    assert (await whoami(api, token)).json()["user"]["has_totp"] is False


async def test_the_database_makes_no_codes_and_a_key_rotation_leaves_them_good(api: ApiUnderTest, clock: Clock) -> None:
    await make_user(api)
    totp, codes = await enrol(api, clock, await token_of(api))
    async with api.database.read() as session:
        connection = await session.connection()
        rows = [
            (await connection.execute(text(f"SELECT * FROM {table}"))).all()
            for table in ("authenticators", "recovery_codes")
        ]
    assert totp.byte_secret() not in rows[0][0].wrapped
    assert not any(code in str(rows) for code in [*codes, totp.secret])
    rotated = await api.http.post("/secret-key/rotate", json={})
    assert rotated.status_code < 300, rotated.text
    clock.now += 30
    assert (await sign_in(api, code=totp.at(int(clock.now)))).status_code == 200
    async with api.database.read() as session:
        query = text("SELECT key_id FROM authenticators")
        assert (await (await session.connection()).execute(query)).scalar_one() != rows[0][0].key_id
