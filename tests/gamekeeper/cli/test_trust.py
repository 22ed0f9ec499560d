"""A command on another machine: it believes a server by the pin of its CA, or says what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from gamekeeper.cli.console import open_console
from gamekeeper.cli.context import Context
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError
from gamekeeper.stack.layout import Ports, StackRecord, StateDir
from tests.fixtures.certificates import PASSPHRASE, TestAuthority
from tests.fixtures.rest_server import ELSEWHERE, RestServer

KEY = "gk_a-key-that-no-stranger-may-hear"


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


@pytest.fixture
def server(authority: TestAuthority, tmp_path: Path) -> Iterator[RestServer]:
    """By an address that is in no certificate."""
    made = RestServer(authority.roots, authority, tmp_path)
    made.answer = (200, "{}")
    thread = Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def context(server: RestServer, pin: str, folder: Path) -> Context:
    return Context(f"https://{ELSEWHERE}:{server.port}", KEY, folder, pin)


def ask(obj: Context) -> object:
    return obj.call("POST", "/join", json={})


def refused(obj: Context) -> GamekeeperError:
    with pytest.raises(GamekeeperError) as caught:
        ask(obj)
    with pytest.raises(type(caught.value)) as by_console:
        open_console(obj, "/runs/x/steps/a/exec", [], tty=False)
    assert by_console.value.message == caught.value.message
    return caught.value


def test_a_pin_is_enough_whatever_the_address(authority: TestAuthority, server: RestServer, tmp_path: Path) -> None:
    assert ask(context(server, authority.authority.pin, tmp_path)) == {}
    assert server.told == [(f"Bearer {KEY}", {})]


def test_a_pin_of_before_a_rotation_is_good_for_the_overlap(
    authority: TestAuthority, server: RestServer, tmp_path: Path
) -> None:
    before, now = authority.authority.pin, datetime.now(UTC)
    authority.authority = authority.authority.rotate(PASSPHRASE, now)
    serving(server, authority, now, tmp_path)
    for pin in (before, authority.authority.pin):
        assert ask(context(server, pin, tmp_path)) == {}
    server.roots = authority.authority.roots_pem(now + timedelta(days=31))
    error = refused(context(server, before, tmp_path))
    assert "is not the control plane of this pin" in error.message
    assert "`gamekeeper ca show` prints there now" in error.hint


def serving(server: RestServer, authority: TestAuthority, now: datetime, folder: Path) -> None:
    """Has the server show a certificate that is made now."""
    made = authority.authority.issue_server([], now)
    (folder / "next.pem").write_text(made.key_pem + made.chain_pem)
    assert isinstance(server.socket, ssl.SSLSocket)
    server.socket.context.load_cert_chain(folder / "next.pem")
    server.roots = authority.authority.roots_pem(now)


def test_nothing_is_said_to_a_server_of_another_ca(server: RestServer, tmp_path: Path) -> None:
    other = TestAuthority(tmp_path / "other")
    error = refused(context(server, other.authority.pin, tmp_path))
    assert isinstance(error, InvalidError)
    assert "no root of it has it" in error.message
    server.roots = other.roots  # one in between, that hands out the roots of the right one
    error = refused(context(server, other.authority.pin, tmp_path))
    assert isinstance(error, UnavailableError)
    assert "shows a certificate that can't be verified" in error.message
    assert server.told == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", ELSEWHERE])
def test_the_own_stack_needs_no_pin_by_whichever_name_of_this_machine(
    authority: TestAuthority, server: RestServer, tmp_path: Path, host: str
) -> None:
    own_stack(authority, server.port, tmp_path / "own")
    own = Context(f"https://{host}:{server.port}", "", tmp_path / "own")
    assert ask(own) == {}
    assert server.told == [(f"Bearer {KEY}", {})]
    assert own.is_own, "no proxy is on the way"


def test_neither_another_port_nor_another_machine_is_the_own_stack(
    authority: TestAuthority, server: RestServer, tmp_path: Path
) -> None:
    own_stack(authority, server.port + 1, tmp_path / "own")
    for url in (f"https://{ELSEWHERE}:{server.port}", f"https://192.0.2.1:{server.port + 1}", "https://[::1"):
        assert not Context(url, "", tmp_path / "own").is_own
    error = refused(Context(f"https://{ELSEWHERE}:{server.port}", KEY, tmp_path / "own"))
    assert "shows a certificate that can't be verified: " in error.message


def own_stack(authority: TestAuthority, port: int, folder: Path) -> None:
    """The files of a stack that serves REST on all addresses, on this port."""
    state = StateDir(folder)
    state.prepare()
    state.save(StackRecord(address="0.0.0.0", ports=Ports(rest=port, grpc=1, temporal=1, temporal_ui=1)))
    state.key_file.write_text(KEY)
    state.ca_dir.mkdir()
    (state.ca_dir / "roots.pem").write_text(authority.roots)


def test_each_trouble_says_what_to_do(authority: TestAuthority, server: RestServer, tmp_path: Path) -> None:
    none = refused(context(server, "", tmp_path))
    assert "shows a certificate that can't be verified: " in none.message
    assert "have `gamekeeper ca show` print the pin there, and give it with --pin" in none.hint
    assert "43 letters" in refused(context(server, "AA:BB", tmp_path)).message
    plain = Context(f"http://{ELSEWHERE}:{server.port}", KEY, tmp_path, authority.authority.pin)
    assert "a pin is for HTTPS" in refused(plain).message
    late = datetime.now(UTC) - timedelta(days=99)
    serving(server, authority, late, tmp_path)
    expired = refused(context(server, authority.authority.pin, tmp_path))
    assert "certificate has expired" in expired.message
    assert "this machine's clock" in expired.hint
    away = Context("https://127.0.0.1:1", KEY, tmp_path, authority.authority.pin)
    assert refused(away).message.startswith("https://127.0.0.1:1 does not answer")
    assert server.told == []
