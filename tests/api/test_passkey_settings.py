"""The names by which browsers know this server: those that are given, those that follow, and what no browser takes."""

from __future__ import annotations

import pytest

from api.settings import ApiSettings
from gamekeeper.errors import InvalidError


def names(**fields: object) -> tuple[str, tuple[str, ...]] | None:
    made = ApiSettings(**fields).relying_party()  # type: ignore[arg-type]
    return (made.id, made.origins) if made is not None else None


def test_on_loopback_it_is_localhost() -> None:
    assert names() == ("localhost", ("http://localhost:7380", "https://localhost:7380"))
    assert names(rest_host="::1", rest_port=12) == ("localhost", ("http://localhost:12", "https://localhost:12"))
    assert names(rest_host="0.0.0.0", passkey_rp_id="localhost") == names()


def test_elsewhere_it_is_the_first_name_of_a_host() -> None:
    assert names(rest_host="0.0.0.0") is None
    assert names(rest_host="0.0.0.0", rest_names="192.0.2.1,server,gk.example.com,other.example.com") == (
        "gk.example.com",
        ("https://gk.example.com", "https://gk.example.com:7380"),
    )
    both = {"rest_host": "0.0.0.0", "rest_port": 443, "rest_names": "a.example", "acme_domains": "B.example, c.example"}
    assert names(**both) == ("b.example", ("https://b.example",))


def test_what_is_given_stands_before_it() -> None:
    given = names(passkey_rp_id="Example.com", passkey_origins="https://gk.example.com, https://example.com:8443")
    assert given == ("example.com", ("https://gk.example.com", "https://example.com:8443"))
    assert names(passkey_origins="http://localhost:1,http://gk.localhost:2") == (
        "localhost",
        ("http://localhost:1", "http://gk.localhost:2"),
    )


@pytest.mark.parametrize(
    ("rp_id", "origins"),
    [
        ("192.0.2.1", ""),
        ("com", ""),
        ("https://example.com", ""),
        ("example.com:443", ""),
        ("-a.example", ""),
        ("b\u00fccher.example", ""),
        ("*.example.com", ""),
        ("example.com", "http://example.com"),
        ("example.com", "https://example.com/"),
        ("example.com", "https://example.com:443"),
        ("example.com", "https://EXAMPLE.com"),
        ("example.com", "https://notexample.com"),
        ("example.com", "https://example.com.evil.example"),
        ("example.com", "https://mia@example.com"),
        ("example.com", "https://example.com:port"),
        ("example.com", "null"),
        ("", "https://example.com"),
    ],
)
def test_what_no_browser_takes_is_refused(rp_id: str, origins: str) -> None:
    with pytest.raises(InvalidError, match="GAMEKEEPER_PASSKEY_"):
        names(passkey_rp_id=rp_id, passkey_origins=origins)


def test_origins_without_a_name_are_refused() -> None:
    with pytest.raises(InvalidError, match="without a host name"):
        names(rest_host="0.0.0.0", passkey_origins="https://example.com")
