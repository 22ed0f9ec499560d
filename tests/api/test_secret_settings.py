"""Settings of the stores that secrets may refer to: what does not go together is told by the name of its setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.settings import ApiSettings
from gamekeeper.errors import InvalidError

TOKEN: dict[str, Any] = {"vault_token_file": Path("token")}


def test_without_an_address_there_is_no_vault() -> None:
    assert ApiSettings().vault_terms() is None


@pytest.mark.parametrize(
    "address", ["https://vault.lan:8200/", "http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200"]
)
def test_addresses(address: str) -> None:
    terms = ApiSettings(vault_address=address, vault_mount="/kv/", **TOKEN).vault_terms()
    assert terms is not None
    assert (terms.address, terms.mount, terms.token_file) == (address.rstrip("/"), "kv", Path("token"))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"vault_address": "vault.lan:8200"} | TOKEN, "GAMEKEEPER_VAULT_ADDRESS is no URL"),
        ({"vault_address": "https://user:word@vault.lan"} | TOKEN, "is no URL of a server"),
        ({"vault_address": "https://vault.lan/?x=1"} | TOKEN, "is no URL of a server"),
        ({"vault_address": "https://[::1"} | TOKEN, "is no URL of a server"),
        ({"vault_address": "https://vault.lan:99999"} | TOKEN, "is no URL of a server"),
        ({"vault_address": "http://vault.lan:8200"} | TOKEN, "is plain HTTP to another machine"),
        ({"vault_address": "https://vault.lan"}, "one has to be given; a token, or an AppRole"),
        ({"vault_address": "https://vault.lan", "vault_role_id": "r"} | TOKEN, "one has to be given"),
        ({"vault_address": "https://vault.lan", "vault_role_id": "r"}, "GAMEKEEPER_VAULT_SECRET_ID_FILE is missing"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidError, match=part):
        ApiSettings(**settings).vault_terms()
