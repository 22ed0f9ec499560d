"""The terms on which an OpenID provider is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, repr=False)
class OidcTerms:
    """``client_secret`` is empty for a public client. ``public_url`` is where browsers reach this api. ``roots`` are
    the CAs to trust, None for those of the system. ``seconds`` bounds each question."""

    issuer: str
    client_id: str
    public_url: str
    client_secret: str = ""
    scopes: str = "openid profile email"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    roots: Path | None = None
    seconds: float = 5.0

    @property
    def redirect_uri(self) -> str:
        return f"{self.public_url}/api/v1/sign-in/oidc/callback"
