"""Answers of authenticators: what is right, each fault in its words, and noise, which is never more than refused."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import cbor2
import pytest

from api.services.access.ceremonies import Begun, Opened
from api.services.access.passkey_answers import Answer, NewCredential, check_count, check_new, check_use
from api.services.access.passkey_options import creation_options, request_options
from gamekeeper.db.models import UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.access.passkey import RelyingParty
from gamekeeper.errors import InvalidError
from tests.fakes.passkeys import MAY_SYNC, PRESENT, SYNCED, VERIFIED, Browser, b64, unb64

RP = RelyingParty("localhost", ("http://localhost:7380", "http://gk.localhost:7380"))
USER = UserRow(id="00ff00ff00ff00ff", name="mia", name_key="mia", name_looks="mia")


@dataclass
class Ceremonies:
    """One browser, and this server's half without its routes. Each challenge is new."""

    browser: Browser = field(default_factory=Browser)

    async def add(self, **changes: Any) -> NewCredential:
        begun, opened = _ceremony()
        answer = self.browser.create(creation_options(begun, USER, []))
        return await check_new(_changed(answer, changes), opened)

    async def use(self, public_key: bytes, **changes: Any) -> int:
        begun, opened = _ceremony()
        answer = self.browser.get(request_options(begun))
        used = await check_use(_changed(answer, changes), opened, public_key)
        assert used.user_handle == USER.id
        return used.sign_count


def _ceremony() -> tuple[Begun, Opened]:
    challenge = secrets.token_bytes(32)
    return Begun("", challenge, RP), Opened(challenge, utc_now() + timedelta(minutes=5), "", RP)


def _changed(answer: Answer, changes: dict[str, Any]) -> Answer:
    return answer | {"response": answer["response"] | changes}


@pytest.mark.parametrize("algorithm", [-7, -8])
async def test_keys_of_several_kinds_are_made_and_used(algorithm: int) -> None:
    pair = Ceremonies(Browser(algorithm=algorithm))
    made = await pair.add()
    assert (unb64(made.credential_id), made.sign_count) == (pair.browser.kept[0].id, 0)
    assert [await pair.use(made.public_key), await pair.use(made.public_key)] == [1, 2]
    pair.browser.origin = "http://gk.localhost:7380"
    assert await pair.use(made.public_key) == 3


async def test_it_is_told_whether_a_key_ring_has_it() -> None:
    flags = PRESENT | VERIFIED
    assert not (await Ceremonies(Browser(flags=flags)).add()).is_synced
    assert (await Ceremonies(Browser(flags=flags | MAY_SYNC)).add()).is_synced
    assert (await Ceremonies(Browser(flags=flags | MAY_SYNC | SYNCED)).add()).is_synced


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("wrong_origin", {"origin": "https://evil.example"}),
    ("wrong_origin", {"origin": "http://localhost"}),
    ("wrong_origin", {"origin": "http://localhost:7380/"}),
    ("wrong_origin", {"client": {"origin": ["http://localhost:7380"]}}),
    ("wrong_rp", {"rp_id": "evil.example"}),
    ("user_unverified", {"flags": PRESENT}),
    ("user_unverified", {"flags": VERIFIED}),
    ("wrong_challenge", {"client": {"challenge": b64(b"x" * 32)}}),
    ("wrong_challenge", {"client": {"challenge": ""}}),
    ("wrong_answer", {"client": {"type": "payment.get"}}),
    ("wrong_answer", {"client": {"crossOrigin": True}}),
    ("wrong_answer", {"flags": PRESENT | VERIFIED | SYNCED}),
]


@pytest.mark.parametrize(("code", "fields"), FAULTS)
async def test_each_fault_has_its_words(code: str, fields: dict[str, Any]) -> None:
    honest = Ceremonies()
    made = await honest.add()
    for name, value in fields.items():
        setattr(honest.browser, name, value)
    for refused in (honest.add(), honest.use(made.public_key)):
        with pytest.raises(InvalidError) as told:
            await refused
        assert (told.value.code, bool(told.value.hint)) == (code, True)


async def test_the_answer_to_one_question_is_none_to_the_other() -> None:
    """A passkey that was made proves nothing, and one that was used is no new one."""
    pair = Ceremonies()
    made = await pair.add()
    begun, opened = _ceremony()
    used = pair.browser.get(request_options(begun))
    with pytest.raises(InvalidError):
        await check_new(used, opened)
    new = pair.browser.create(creation_options(begun, USER, []))
    with pytest.raises(InvalidError):
        await check_use(new, opened, made.public_key)


async def test_another_key_signs_for_nobody() -> None:
    mia, joe = Ceremonies(), Ceremonies()
    made = await mia.add()
    await joe.add()
    with pytest.raises(InvalidError) as told:
        await joe.use(made.public_key)
    assert told.value.code == "wrong_answer"


async def test_no_statement_of_a_maker_is_looked_into() -> None:
    begun, opened = _ceremony()
    answer = Browser().create(creation_options(begun, USER, []))
    attested = cbor2.loads(unb64(answer["response"]["attestationObject"]))
    signed = {"alg": -7, "sig": b"x", "x5c": [b"x"]}
    changes: list[dict[str, Any]] = [{"fmt": "tpm"}, {"fmt": []}, {"fmt": "packed", "attStmt": signed}]
    for change in changes:
        changed = b64(cbor2.dumps(attested | change))
        with pytest.raises(InvalidError):
            await check_new(_changed(answer, {"attestationObject": changed}), opened)


def test_a_count_grows_where_there_is_one() -> None:
    for before, now in ((0, 0), (0, 1), (5, 6), (5, 2**32 - 1)):
        check_count(before, now)
    for before, now in ((5, 5), (5, 4), (5, 0), (1, 0)):
        with pytest.raises(InvalidError, match="may have a copy"):
            check_count(before, now)


async def test_noise_is_refused_and_no_more() -> None:
    """Whatever stands in an answer: each byte of the right one changed, and what is no answer at all."""
    pair = Ceremonies()
    made = await pair.add()
    for noise in _junk():
        for name in ("clientDataJSON", "attestationObject"):
            with pytest.raises(InvalidError):
                await Ceremonies().add(**{name: noise})
        for name in ("clientDataJSON", "authenticatorData", "signature"):
            with pytest.raises(InvalidError):
                await pair.use(made.public_key, **{name: noise})
    begun, opened = _ceremony()
    new = Browser().create(creation_options(begun, USER, []))
    for changed in _flipped(new["response"]["attestationObject"]):
        try:  # of a statement without a signature, some bytes may be anything: those of the id and of the key
            await check_new(_changed(new, {"attestationObject": changed}), opened)
        except InvalidError:
            pass
    used = pair.browser.get(request_options(begun))
    for name in ("authenticatorData", "signature", "clientDataJSON"):
        for changed in _flipped(used["response"][name]):
            with pytest.raises(InvalidError):
                await check_use(_changed(used, {name: changed}), opened, made.public_key)
    assert (await check_use(used, opened, made.public_key)).sign_count == pair.browser.kept[0].count


def _junk() -> Iterator[str]:
    yield from ("", "A", "AAAA", b64(b"null"), b64(b"{}"), b64(b"\xff"), b64(b"[" * 5000), b64(b"\x81" * 6000))
    yield from (b64(b"\xa0"), b64(b"\xa3"), b64(b"\xa1\x63fmt\x01"), b64(b"\xa2\x63fmt\x64none\x68authData\x01"))
    yield b64(b'{"type": 1, "challenge": [], "origin": {}}')


def _flipped(text: str) -> Iterator[str]:
    data = unb64(text)
    for place in range(len(data)):
        yield b64(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])


def test_the_api_starts_without_the_library() -> None:
    code = "import sys, api.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "api.services.access.passkey" in loaded
    assert not {"webauthn", "cbor2"} & set(loaded)
