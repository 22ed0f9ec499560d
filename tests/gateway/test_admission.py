"""A node is let in by its certificate's generation; one that is out loses its open calls; an outage changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gamekeeper.errors import UnavailableError
from gateway import admission
from gateway.admission import REMEMBERED_SECONDS, Admission
from gateway.refusal import Reason, Refusal
from gateway.tokens import Caller
from tests.fakes.node_directory import FakeNodeDirectory
from tests.fixtures.gateway import Certificates


class Open:
    def __init__(self) -> None:
        self.ended: list[Reason] = []

    def end(self, refusal: Refusal) -> None:
        self.ended.append(refusal.reason)


class Door:
    """An admission with a clock that a test moves."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.directory = FakeNodeDirectory(edge_1=4)
        self.now = 1000.0
        self.today = datetime.now(UTC)
        self.admission = Admission(self.directory, lambda: self.now, lambda: self.today)

    def auth(self, node_id: str = "edge-1", generation: int = 4, tls: bytes = b"TLSv1.3") -> dict[str, list[bytes]]:
        chain = self.certificates.node(node_id, generation).chain
        return {"x509_pem_cert": [chain], "ssl_tls_version": [tls]}

    async def refused(self, auth: dict[str, list[bytes]]) -> Reason | None:
        try:
            await self.admission.caller(auth)
        except Refusal as refusal:
            return refusal.reason
        return None


@pytest.fixture
def door(certificates: Certificates) -> Door:
    return Door(certificates)


async def test_a_good_certificate(door: Door) -> None:
    assert await door.admission.caller(door.auth()) == Caller("edge-1", 4)


async def test_a_known_node_costs_no_further_question(door: Door) -> None:
    auth = door.auth()
    for _ in range(9):
        await door.admission.caller(auth)
    assert door.directory.questions == 1


async def test_certificates_that_are_no_good(door: Door) -> None:
    server = {"x509_pem_cert": [door.certificates.server().chain], "ssl_tls_version": [b"TLSv1.3"]}
    cases: list[tuple[dict[str, list[bytes]], Reason]] = [
        ({}, Reason.TLS),
        (door.auth(tls=b"TLSv1.2"), Reason.TLS),
        ({"ssl_tls_version": [b"TLSv1.3"]}, Reason.CERTIFICATE),
        (server, Reason.CERTIFICATE),
        (door.auth("edge-2"), Reason.REVOKED),
        (door.auth(generation=3), Reason.REVOKED),
        (door.auth(generation=5), Reason.REVOKED),
    ]
    assert [await door.refused(auth) for auth, _ in cases] == [reason for _, reason in cases]


async def test_a_certificate_runs_out_on_an_open_connection(door: Door) -> None:
    auth = door.auth()
    assert await door.refused(auth) is None
    door.today += timedelta(hours=24, seconds=1)
    assert await door.refused(auth) is Reason.EXPIRED


@pytest.mark.parametrize("found", [None, 5])
async def test_a_node_that_is_out_loses_what_is_open_and_comes_in_no_more(door: Door, found: int | None) -> None:
    call, auth = Open(), door.auth()
    with door.admission.opened(await door.admission.caller(auth), call):
        await door.admission.look()
        assert call.ended == []
        door.directory.generations = {} if found is None else {"edge-1": found}
        await door.admission.look()
        assert call.ended == [Reason.REVOKED]
        assert await door.refused(auth) is Reason.REVOKED


async def test_a_node_that_joined_again_ends_its_older_calls_alone(door: Door) -> None:
    old, new = Open(), Open()
    with door.admission.opened(await door.admission.caller(door.auth()), old):
        door.directory.generations["edge-1"] = 5
        caller = await door.admission.caller(door.auth(generation=5))
        with door.admission.opened(caller, new):
            await door.admission.look()
            assert (old.ended, new.ended) == ([Reason.REVOKED], [])
            assert await door.refused(door.auth(generation=4)) is Reason.REVOKED


async def test_the_last_answer_stands_while_the_database_is_away(door: Door) -> None:
    call, auth = Open(), door.auth()
    with door.admission.opened(await door.admission.caller(auth), call):
        door.directory.is_away = True
        with pytest.raises(UnavailableError):
            await door.admission.look()
        assert call.ended == []
        assert await door.refused(auth) is None
        assert await door.refused(door.auth("edge-2")) is Reason.UNKNOWN_NODES


async def test_a_database_that_hangs_delays_no_known_node(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ASK_SECONDS", 0.01)
    auth = door.auth()
    assert await door.refused(auth) is None
    door.directory.hangs = True
    assert await door.refused(auth) is None
    with pytest.raises(UnavailableError):
        await door.admission.look()
    assert await door.refused(auth) is None
    assert await door.refused(door.auth("edge-2")) is Reason.UNKNOWN_NODES


async def test_nodes_that_are_gone_for_long_are_forgotten(door: Door) -> None:
    auth = door.auth()
    with door.admission.opened(await door.admission.caller(auth), Open()):
        door.now += REMEMBERED_SECONDS + 1
        await door.admission.look()
        door.directory.is_away = True
        assert await door.refused(auth) is None, "it has a call open"
    door.now += REMEMBERED_SECONDS + 1
    await door.admission.look()
    assert await door.refused(auth) is Reason.UNKNOWN_NODES


async def test_all_calls_end_with_the_gateway(door: Door) -> None:
    call: Any = Open()
    with door.admission.opened(await door.admission.caller(door.auth()), call):
        door.admission.end_all(Refusal(Reason.STOPPING, "the gateway stops"))
    assert call.ended == [Reason.STOPPING]
