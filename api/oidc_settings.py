"""Settings of the sign-in by an OpenID provider. The provider itself is asked when somebody signs in, so that one that
is away keeps no api from starting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from api.secret_settings import SecretSettings
from gamekeeper.domain.access.oidc import MAX_ISSUER, GroupRoles, OidcRules
from gamekeeper.domain.access.role import Role
from gamekeeper.errors import InvalidError
from gamekeeper.oidc.metadata import is_safe_url
from gamekeeper.oidc.terms import OidcTerms


def _from_json(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given or "{}")
    except (ValueError, RecursionError):
        raise ValueError('it is no JSON object, as {"staff": "operator"}') from None


class OidcSettings(SecretSettings):
    oidc_issuer: str = Field(
        default="",
        description="Issuer of an OpenID provider by which users sign in, word by word as it names itself, as "
        "`https://id.example.org/realms/play`. Empty offers no such sign-in.",
    )
    oidc_client_id: str = Field(default="", description="Id of the client that the provider has for Gamekeeper.")
    oidc_client_secret: str = Field(
        default="", description="Secret of that client. A public client, which has none, is kept safe by PKCE alone."
    )
    oidc_client_secret_file: Path | None = Field(
        default=None,
        description="File with that secret, which keeps it out of the environment; it stands before "
        "`OIDC_CLIENT_SECRET`.",
    )
    oidc_public_url: str = Field(
        default="",
        description="URL at which browsers reach this api, as `https://play.example.org`. The provider has to know "
        "two addresses below it: `/api/v1/sign-in/oidc/callback` to come back to, and `/` for after the sign-out.",
    )
    oidc_scopes: str = Field(
        default="openid profile email",
        description="Scopes that are asked for, with spaces between. Some providers tell groups with a scope of "
        "their own alone.",
    )
    oidc_button: str = Field(
        default="Single sign-on", max_length=60, description="Words on the button of the sign-in page."
    )
    oidc_name_claim: str = Field(
        default="preferred_username",
        description="Claim from which a new user's name is taken. A name that somebody has already, or that looks "
        "like one, is refused: an admin then links the two.",
    )
    oidc_groups_claim: str = Field(
        default="groups",
        description="Claim with the groups of a person; dots lead into objects, as `realm_access.roles`.",
    )
    oidc_roles: Annotated[dict[str, Role], NoDecode, BeforeValidator(_from_json)] = Field(
        default={},
        description='Roles by groups, as JSON: `{"staff": "operator", "owners": "admin"}`. The highest counts, at each '
        "sign-in. Empty leaves roles to Gamekeeper.",
    )
    oidc_role_otherwise: Annotated[Role | None, BeforeValidator(lambda given: given or None)] = Field(
        default=None,
        description="Role of those in none of these groups, or of new users where roles are left to Gamekeeper; any "
        "but `admin`. Empty refuses them.",
    )
    oidc_makes_users: bool = Field(
        default=False,
        description="Makes a user at the first sign-in of somebody unknown. Off, because a provider may know many who "
        "have no business here: an admin links users to their accounts there (`gamekeeper identity link`).",
    )
    oidc_roots: Path | None = Field(
        default=None,
        description="File with the roots by which the provider is trusted, as PEM. None takes the system's.",
    )
    oidc_seconds: float = Field(
        default=5.0, gt=0, le=30, description="Seconds that a question to the provider may take in all."
    )

    def oidc(self) -> tuple[OidcTerms, OidcRules] | None:
        """None without an issuer. Raises InvalidError for settings that don't go together."""
        terms = self.oidc_terms()
        return (terms, self.oidc_rules()) if terms is not None else None

    def oidc_terms(self) -> OidcTerms | None:
        """None without an issuer. Raises InvalidError for settings that don't go together."""
        if not self.oidc_issuer:
            return None
        for name in ("oidc_client_id", "oidc_public_url"):
            if not getattr(self, name):
                raise InvalidError(f"GAMEKEEPER_{name.upper()} is missing", hint="GAMEKEEPER_OIDC_ISSUER needs it")
        for name in ("oidc_issuer", "oidc_public_url"):
            _check_url(f"GAMEKEEPER_{name.upper()}", getattr(self, name))
        if len(self.oidc_issuer) > MAX_ISSUER:
            raise InvalidError(f"GAMEKEEPER_OIDC_ISSUER has more than {MAX_ISSUER} characters")
        if "openid" not in self.oidc_scopes.split():
            raise InvalidError('GAMEKEEPER_OIDC_SCOPES lacks "openid"', hint="as: openid profile email")
        if self.oidc_roots is not None and not self.oidc_roots.is_file():
            raise InvalidError(f"GAMEKEEPER_OIDC_ROOTS: {self.oidc_roots} is no file")
        return OidcTerms(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=self._client_secret(),
            public_url=self.oidc_public_url.rstrip("/"),
            scopes=" ".join(self.oidc_scopes.split()),
            name_claim=self.oidc_name_claim,
            groups_claim=self.oidc_groups_claim,
            roots=self.oidc_roots,
            seconds=self.oidc_seconds,
        )

    def oidc_rules(self) -> OidcRules:
        """Raises InvalidError for settings that don't go together."""
        if self.oidc_role_otherwise is Role.ADMIN:
            raise InvalidError(
                "GAMEKEEPER_OIDC_ROLE_OTHERWISE is admin: whoever the provider knows could do everything",
                hint='name a group of admins: GAMEKEEPER_OIDC_ROLES={"owners": "admin"}',
            )
        if self.oidc_makes_users and not self.oidc_roles and self.oidc_role_otherwise is None:
            raise InvalidError(
                "GAMEKEEPER_OIDC_MAKES_USERS is on, and nothing says what new users may do",
                hint="give GAMEKEEPER_OIDC_ROLES or GAMEKEEPER_OIDC_ROLE_OTHERWISE",
            )
        roles = GroupRoles(self.oidc_roles, self.oidc_role_otherwise)
        return OidcRules(button=self.oidc_button, roles=roles, makes_users=self.oidc_makes_users)

    def _client_secret(self) -> str:
        if self.oidc_client_secret_file is None:
            return self.oidc_client_secret.strip()
        try:
            return self.oidc_client_secret_file.read_text().strip()
        except (OSError, UnicodeError) as error:
            raise InvalidError(
                f"the secret of the provider's client can't be read: {error}",
                hint="check GAMEKEEPER_OIDC_CLIENT_SECRET_FILE",
            ) from error


def _check_url(name: str, text: str) -> None:
    if not is_safe_url(text) or "?" in text:
        raise InvalidError(f"{name} is no URL over HTTPS", hint="plain HTTP is for this machine alone")
