"""Joins over REST: a secret is said to the right server alone."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent_worker.node_link.rest import get_roots, post_join
from agent_worker.node_link.servers import ServerAddress, parse_servers
from gamekeeper.errors import InvalidError, UnauthenticatedError, UnavailableError
from tests.fixtures.certificates import TestAuthority

ELSEWHERE = "0.0.0.0"  # reaches this machine, and is no loopback address


class RestServer(HTTPServer):
    """Answers with ``roots`` and ``answer``, and keeps what it was told."""

    def __init__(self, roots: str, tls: TestAuthority | None, folder: Path) -> None:
        super().__init__(("0.0.0.0", 0), Handler)
        self.roots, self.answer, self.told = roots, (200, json.dumps({"node_id": "edge-1"})), list[tuple[str, Any]]()
        if tls is not None:
            (folder / "server.pem").write_text(tls.server.key_pem + tls.server.chain_pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "server.pem")
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away during the handshake is what some of these tests are about."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: RestServer

    def do_GET(self) -> None:
        self._send(200, self.server.roots)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.headers.get("Authorization", ""), json.loads(body)))
        self._send(*self.server.answer)

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        return None


Serve = Callable[..., RestServer]


@pytest.fixture
def pki(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[RestServer] = []

    def start(roots: str, tls: TestAuthority | None) -> RestServer:
        server = RestServer(roots, tls, tmp_path)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
        return server

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


def test_a_token_is_said_to_the_server_that_made_it(pki: TestAuthority, serve: Serve) -> None:
    server = serve(pki.roots, pki)
    address = ServerAddress(ELSEWHERE, server.port)
    root = get_roots(address, pki.authority.pin)
    assert post_join(address, root, {"token": "gke_secret"}) == {"node_id": "edge-1"}
    assert post_join(address, root, {}, "gkn_key") == {"node_id": "edge-1"}
    assert server.told == [("", {"token": "gke_secret"}), ("Bearer gkn_key", {})]


def test_another_server_has_no_root_with_the_pin(pki: TestAuthority, serve: Serve, tmp_path: Path) -> None:
    other = TestAuthority(tmp_path / "other")
    server = serve(other.roots, other)
    with pytest.raises(UnauthenticatedError, match=f"no root of it has the pin {pki.authority.pin}"):
        get_roots(ServerAddress(ELSEWHERE, server.port), pki.authority.pin)


def test_a_server_in_between_that_shows_the_right_root_is_told_nothing(
    pki: TestAuthority, serve: Serve, tmp_path: Path
) -> None:
    """Roots are public: whoever stands in between can show them, but has no certificate that they signed."""
    server = serve(pki.roots, TestAuthority(tmp_path / "other"))
    address = ServerAddress(ELSEWHERE, server.port)
    root = get_roots(address, pki.authority.pin)
    with pytest.raises(UnauthenticatedError, match="shows a certificate of another CA"):
        post_join(address, root, {"token": "gke_secret"})
    assert server.told == []


def test_on_loopback_it_is_plain_http(pki: TestAuthority, serve: Serve) -> None:
    server = serve(pki.roots, None)
    address = ServerAddress("127.0.0.1", server.port)
    assert post_join(address, get_roots(address, pki.authority.pin), {})
    assert post_join(address, "", {}, "gkn_key"), "a node of the version before knows no root"


def test_without_a_root_nothing_is_said_elsewhere(pki: TestAuthority, serve: Serve) -> None:
    server = serve(pki.roots, pki)
    with pytest.raises(UnauthenticatedError, match="no root is known"):
        post_join(ServerAddress(ELSEWHERE, server.port), "", {}, "gkn_key")
    assert server.told == []


@pytest.mark.parametrize(
    ("status", "text", "error", "words"),
    [
        (
            401,
            '{"detail": "the token is used", "hint": "make one"}',
            UnauthenticatedError,
            "the token is used; make one",
        ),
        (412, '{"detail": "upgrade"}', UnauthenticatedError, "upgrade"),
        (503, "away", UnavailableError, "answers 503: away"),
        (404, "[]", UnavailableError, "answers 404"),
        (200, "<html>", InvalidError, "no JSON"),
        (200, "[]", InvalidError, "no join"),
    ],
)
def test_answers_that_are_none(
    pki: TestAuthority, serve: Serve, status: int, text: str, error: type[Exception], words: str
) -> None:
    server = serve(pki.roots, None)
    server.answer = status, text
    with pytest.raises(error, match=words):
        post_join(ServerAddress("127.0.0.1", server.port), "", {})


def test_nobody_there() -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 does not answer as REST"):
        get_roots(ServerAddress("127.0.0.1", 1), "")
    with pytest.raises(UnavailableError, match="give HOST or HOST:PORT of REST, not of the node link"):
        get_roots(ServerAddress("127.0.0.9", 7381), "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", ["a:7380"]),
        (" a:1, b:2,,", ["a:1", "b:2"]),
        ("http://127.0.0.1:80/", ["127.0.0.1:80"]),
        ("https://gk.example", ["gk.example:7380"]),
        ("[::1]:5", ["[::1]:5"]),
    ],
)
def test_servers_as_users_give_them(text: str, found: list[str]) -> None:
    assert [str(server) for server in parse_servers(text)] == found


@pytest.mark.parametrize("text", ["", " , ", "a:b", "a:99999", ":1", "a/b", "u@a", "[", "ftp://a"])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_servers(text)


PLACES = "localhost,127.0.0.5,[::1],http://127.0.0.1,10.0.0.1,gk.example,https://127.0.0.1,http://10.0.0.1"


def test_plain_http_on_loopback_alone() -> None:
    assert [server.is_plain for server in parse_servers(PLACES)] == [
        *(True, True, True, True),
        *(False, False, False, False),
    ]
    assert ServerAddress("::1").at(7381) == "[::1]:7381"
