"""Orders by ACME from a real server: it checks the signatures, asks the challenge's question, and issues."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gamekeeper.certificates import acme_order as module
from gamekeeper.certificates.acme_order import order
from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.certificates.pair import is_for, renewal_of
from gamekeeper.certificates.pem import certificates_in
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError
from gamekeeper.stack.ports import free_port
from tests.fixtures.acme import BINDING, HOST, Pebble, pebble_server
from tests.fixtures.certificates import TestAuthority
from tests.gamekeeper.certificates.handshake import shake_hands


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble_server(tmp_path_factory.mktemp("pebble")) as found:
        yield found


def test_an_order_gives_a_certificate_that_the_cas_root_vouches_for(pebble: Pebble, tmp_path: Path) -> None:
    names = ("play.example.com", "www.play.example.com")
    made = order(pebble.terms(*names), tmp_path / "account.json")
    assert is_for(made.chain_pem, names)
    assert not is_for(made.chain_pem, (*names, "example.com"))
    assert len(certificates_in(made.chain_pem)) == 2
    assert datetime.now(UTC) < renewal_of(made.chain_pem) < made.not_after
    own = TestAuthority(tmp_path / "own")
    key = new_key()
    client = (key, own.authority.issue_node(csr(key), "edge-1", 1, datetime.now(UTC)).chain_pem)
    for name in names:
        shake_hands(
            server=(made.key_pem, made.chain_pem),
            client=client,
            server_trusts=own.roots,
            client_trusts=pebble.issuing_root(),
            name=name,
        )


def test_the_account_is_made_once_and_only_its_owner_reads_it(pebble: Pebble, tmp_path: Path) -> None:
    file = tmp_path / "acme" / "account.json"
    first, second = (order(pebble.terms(), file) for _ in range(2))
    assert first.key_pem != second.key_pem
    kept = file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert order(pebble.terms("other.example.com"), file)
    assert file.read_text() == kept
    file.write_text("{}")
    assert order(pebble.terms(), file)
    assert json.loads(file.read_text())["uri"] != json.loads(kept)["uri"], "one that can't be read is made anew"


def test_a_ca_that_wants_a_binding_gets_it(tmp_path: Path) -> None:
    with pebble_server(tmp_path, binding_required=True) as pebble:
        assert order(pebble.terms(binding=BINDING), tmp_path / "account.json")
        with pytest.raises(InvalidError, match=r"takes customers of that CA alone; .*GAMEKEEPER_ACME_EAB_KID"):
            order(pebble.terms(), tmp_path / "none.json")
        with pytest.raises(InvalidError, match="refuses"):
            order(pebble.terms(binding=("kid-9", BINDING[1])), tmp_path / "none.json")
        assert not (tmp_path / "none.json").exists()


def test_strangers_who_say_nothing_hold_up_no_order(
    pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers: list[socket.socket] = []

    class Crowded(module._Answers):
        def server_activate(self) -> None:
            super().server_activate()
            strangers.extend(socket.create_connection((HOST, pebble.challenge_port)) for _ in range(5))

    monkeypatch.setattr(module, "_Answers", Crowded)
    assert order(pebble.terms("crowded.example.com"), tmp_path / "account.json")
    assert len(strangers) == 5
    for stranger in strangers:
        stranger.close()


def refused(pebble: Pebble, folder: Path, **changed: object) -> GamekeeperError:
    with pytest.raises(GamekeeperError) as caught:
        order(replace(pebble.terms(), **changed), folder / "account.json")  # type: ignore[arg-type]
    return caught.value


def test_each_failure_says_what_to_do(pebble: Pebble, tmp_path: Path) -> None:
    port = pebble.challenge_port
    elsewhere = refused(pebble, tmp_path, port=free_port(HOST))
    assert isinstance(elsewhere, UnavailableError)
    assert "could not check play.example.com" in str(elsewhere)
    assert "its port 80 to port" in str(elsewhere)
    with socket.create_server((HOST, port)):
        taken = refused(pebble, tmp_path)
    assert f"port {port} on {HOST} can't be opened" in str(taken)
    assert "GAMEKEEPER_ACME_HTTP_PORT" in str(taken)
    assert "no HTTP-01 challenge for" in str(refused(pebble, tmp_path, names=("*.example.com",)))
    assert "check GAMEKEEPER_ACME_DOMAINS" in str(refused(pebble, tmp_path, names=("not_a_name.example.com",)))
    assert "GAMEKEEPER_ACME_ROOTS" in str(refused(pebble, tmp_path, roots=None))
    assert "GAMEKEEPER_ACME_DIRECTORY" in str(refused(pebble, tmp_path, directory=pebble.directory + "x"))
    assert "can't be used" in str(refused(pebble, tmp_path, directory="https://127.0.0.1:1/dir"))
    assert order(pebble.terms(), tmp_path / "account.json"), "and the port is free again"
