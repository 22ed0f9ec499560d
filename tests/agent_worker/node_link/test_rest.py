"""Joins over REST: a secret is said to the right server alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_worker.node_link.rest import get_roots, post_join
from agent_worker.node_link.servers import ServerAddress, parse_servers
from gamekeeper.certificates.pem import served_certificates
from gamekeeper.errors import InvalidError, UnauthenticatedError, UnavailableError
from tests.fixtures.certificates import TestAuthority
from tests.fixtures.rest_server import ELSEWHERE, Serve


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


def test_on_its_own_machine_a_server_may_show_a_certificate_of_others(
    pki: TestAuthority, serve: Serve, tmp_path: Path
) -> None:
    public, stranger = TestAuthority(tmp_path / "public"), TestAuthority(tmp_path / "stranger")
    for name, authority in (("files", public), ("own", pki)):  # as the api keeps them
        (tmp_path / f"{name}.pem").write_text(authority.server.key_pem + authority.server.chain_pem)
    (tmp_path / "half.pem").write_text("-----BEGIN")
    shown = served_certificates(tmp_path)
    address = ServerAddress(ELSEWHERE, serve(pki.roots, public).port)
    assert post_join(address, pki.roots, {"token": "gke_secret"}, shown=shown)
    for server, known in ((serve(pki.roots, stranger), shown), (serve(pki.roots, public), served_certificates(None))):
        with pytest.raises(UnauthenticatedError, match="shows a certificate of another CA"):
            post_join(ServerAddress(ELSEWHERE, server.port), pki.roots, {"token": "gke_secret"}, shown=known)
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
