"""Settings of the sign-in by an OpenID provider: what does not go together is told by the name of its setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.settings import ApiSettings
from gamekeeper.domain.access.oidc import GroupRoles
from gamekeeper.domain.access.role import Role
from gamekeeper.errors import InvalidError

GOOD: dict[str, Any] = {
    "oidc_issuer": "https://id.example/realms/play",
    "oidc_client_id": "gamekeeper",
    "oidc_public_url": "https://play.example/",
}


def test_without_an_issuer_there_is_no_provider() -> None:
    assert ApiSettings().oidc() is None
    assert ApiSettings(oidc_client_id="x", oidc_role_otherwise="admin").oidc() is None


def test_settings_of_a_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" the secret\n")
    for name, value in (GOOD | {"oidc_client_secret_file": str(tmp_path / "secret")}).items():
        monkeypatch.setenv(f"GAMEKEEPER_{name.upper()}", value)
    monkeypatch.setenv("GAMEKEEPER_OIDC_CLIENT_SECRET", "of before")
    monkeypatch.setenv("GAMEKEEPER_OIDC_ROLES", '{"cn=owners,ou=groups": "admin", "staff": "operator"}')
    found = ApiSettings.from_environment().oidc()
    assert found is not None
    terms, rules = found
    assert (terms.issuer, terms.client_secret) == ("https://id.example/realms/play", "the secret")
    assert terms.redirect_uri == "https://play.example/api/v1/sign-in/oidc/callback"
    assert "the secret" not in repr(terms)
    assert rules.roles.of(["staff", "cn=owners,ou=groups"]) is Role.ADMIN
    assert (rules.roles.of(["Staff"]), rules.makes_users) == (None, False)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"oidc_client_id": ""}, "GAMEKEEPER_OIDC_CLIENT_ID is missing"),
        ({"oidc_public_url": ""}, "GAMEKEEPER_OIDC_PUBLIC_URL is missing"),
        ({"oidc_issuer": "id.example"}, "GAMEKEEPER_OIDC_ISSUER is no URL over HTTPS"),
        ({"oidc_issuer": "http://id.example"}, "GAMEKEEPER_OIDC_ISSUER is no URL over HTTPS"),
        ({"oidc_issuer": "https://user:word@id.example"}, "GAMEKEEPER_OIDC_ISSUER is no URL over HTTPS"),
        ({"oidc_issuer": "https://id.example/?a=b"}, "GAMEKEEPER_OIDC_ISSUER is no URL over HTTPS"),
        ({"oidc_issuer": "https://[::1"}, "GAMEKEEPER_OIDC_ISSUER is no URL over HTTPS"),
        ({"oidc_issuer": f"https://id.example/{'x' * 300}"}, "has more than 255 characters"),
        ({"oidc_public_url": "http://play.example"}, "GAMEKEEPER_OIDC_PUBLIC_URL is no URL over HTTPS"),
        ({"oidc_scopes": "profile"}, 'GAMEKEEPER_OIDC_SCOPES lacks "openid"'),
        ({"oidc_client_secret_file": Path("/nowhere")}, "check GAMEKEEPER_OIDC_CLIENT_SECRET_FILE"),
        ({"oidc_roots": Path("/nowhere")}, "GAMEKEEPER_OIDC_ROOTS: /nowhere is no file"),
        ({"oidc_role_otherwise": "admin"}, "GAMEKEEPER_OIDC_ROLE_OTHERWISE is admin"),
        ({"oidc_makes_users": True}, "nothing says what new users may do"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidError, match=part):
        ApiSettings(**GOOD | settings).oidc()


@pytest.mark.parametrize("text", ["staff=operator", '["staff"]', '{"staff": "king"}', '{"staff": '])
def test_roles_that_are_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("GAMEKEEPER_OIDC_ROLES", text)
    with pytest.raises(InvalidError, match="GAMEKEEPER_OIDC_ROLES"):
        ApiSettings.from_environment()


def test_empty_ones_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Compose passes on what is not set."""
    for name in ("ROLES", "ROLE_OTHERWISE", "ISSUER", "CLIENT_SECRET"):
        monkeypatch.setenv(f"GAMEKEEPER_OIDC_{name}", "")
    settings = ApiSettings.from_environment()
    assert (settings.oidc_roles, settings.oidc_role_otherwise, settings.oidc()) == ({}, None, None)


def test_the_highest_role_counts() -> None:
    roles = GroupRoles({"a": Role.VIEWER, "b": Role.DEVELOPER, "c": Role.OPERATOR}, Role.GUEST)
    assert [roles.of(groups) for groups in (["a"], ["c", "b", "a"], ["d"], [])] == [
        Role.VIEWER,
        Role.DEVELOPER,
        Role.GUEST,
        Role.GUEST,
    ]
