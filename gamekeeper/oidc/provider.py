"""An OpenID provider, asked over HTTP: the code flow with PKCE."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

from gamekeeper.domain.access.oidc import MAX_SUBJECT, Recognised
from gamekeeper.errors import GamekeeperError, UnauthenticatedError, UnavailableError
from gamekeeper.oidc.answers import AWAY, Answer, Answers, broken
from gamekeeper.oidc.id_token import Expected, not_proven, verified
from gamekeeper.oidc.kept import Kept
from gamekeeper.oidc.metadata import WELL_KNOWN, Metadata
from gamekeeper.oidc.signing_keys import MAX_KEYS, Key, SigningKeys
from gamekeeper.oidc.terms import OidcTerms

KEPT_SECONDS = 3600.0
MAX_ACCESS_TOKEN = 16 * 1024
MAX_GROUPS, MAX_GROUP, MAX_NAME = 5000, 512, 256
REFUSED = "oidc_refused"
_ERROR = re.compile(r"[a-z_]{1,40}")
_OF_CLIENT = frozenset({"invalid_client", "unauthorized_client"})


class HttpOidcProvider:
    """Satisfies ``OidcProvider``. It asks nothing before somebody signs in."""

    def __init__(
        self, terms: OidcTerms, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._terms = terms
        self._now = now
        self._answers = Answers(terms.issuer, terms.roots, terms.seconds)
        self._keys = SigningKeys(self._fetch_keys, clock)
        self._metadata = Kept(self._fetch_metadata, KEPT_SECONDS, clock)

    async def authorization_url(self, state: str, nonce: str, challenge: str) -> str:
        metadata = await self._metadata.get()
        return _with_query(
            metadata.authorization_endpoint,
            response_type="code",
            client_id=self._terms.client_id,
            redirect_uri=self._terms.redirect_uri,
            scope=self._terms.scopes,
            state=state,
            nonce=nonce,
            code_challenge=challenge,
            code_challenge_method="S256",
        )

    async def recognise(self, code: str, verifier: str, nonce: str, issuer: str | None) -> Recognised:
        terms, metadata = self._terms, await self._metadata.get()
        if issuer != terms.issuer and (issuer is not None or metadata.tells_issuer):
            raise not_proven("another provider has sent it")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": terms.redirect_uri,
            "code_verifier": verifier,
        }
        answer = await self._answers.post(metadata.token_endpoint, *self._as_client(form, metadata))
        if answer.status != 200:
            raise self._refusal(answer)
        token, access_token = answer.body.get("id_token"), answer.body.get("access_token")
        if not isinstance(token, str):
            raise not_proven("it holds no ID token")
        if not isinstance(access_token, str) or not _is_header(access_token):
            access_token = ""
        expected = Expected(terms.issuer, terms.client_id, nonce, access_token)
        claims = await verified(token, expected, self._keys, self._now)
        return self._recognised(await self._with_userinfo(claims, metadata, access_token))

    async def end_session_url(self) -> str:
        metadata = await self._metadata.get()
        if not metadata.end_session_endpoint:
            return ""
        after = f"{self._terms.public_url}/"
        return _with_query(
            metadata.end_session_endpoint, client_id=self._terms.client_id, post_logout_redirect_uri=after
        )

    async def _fetch_metadata(self) -> Metadata:
        issuer = self._terms.issuer
        return Metadata.of(await self._answers.get(issuer.rstrip("/") + WELL_KNOWN), issuer)

    async def _fetch_keys(self) -> list[Key]:
        found = (await self._answers.get((await self._metadata.get()).jwks_uri)).get("keys")
        if not isinstance(found, list) or not all(isinstance(key, dict) for key in found):
            raise broken(self._terms.issuer, "names no keys")
        if len(found) > MAX_KEYS:
            raise broken(self._terms.issuer, f"names more than {MAX_KEYS} keys")
        return found

    def _as_client(self, form: dict[str, str], metadata: Metadata) -> tuple[dict[str, str], dict[str, str]]:
        """The form and the headers by which the provider knows us."""
        terms = self._terms
        if not terms.client_secret:
            return form | {"client_id": terms.client_id}, {}
        if not metadata.is_basic:
            return form | {"client_id": terms.client_id, "client_secret": terms.client_secret}, {}
        pair = f"{quote_plus(terms.client_id)}:{quote_plus(terms.client_secret)}"
        return form, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def _refusal(self, answer: Answer) -> GamekeeperError:
        error = answer.body.get("error")
        told = error if isinstance(error, str) and _ERROR.fullmatch(error) else f"status {answer.status}"
        if error in _OF_CLIENT or answer.status == 429:
            return UnavailableError(
                f"the provider {self._terms.issuer} refuses this server ({told})",
                hint="an admin may look at GAMEKEEPER_OIDC_CLIENT_ID and its secret",
                code=AWAY,
            )
        return UnauthenticatedError(f"the provider refused the sign-in ({told})", hint="sign in again", code=REFUSED)

    async def _with_userinfo(self, claims: dict[str, Any], metadata: Metadata, access_token: str) -> dict[str, Any]:
        """Some providers tell names and groups apart from the ID token."""
        wanted = (self._terms.name_claim, self._terms.groups_claim)
        is_whole = all(claim_of(claims, name) is not None for name in wanted if name)
        if is_whole or not metadata.userinfo_endpoint or not access_token:
            return claims
        told = await self._answers.get(metadata.userinfo_endpoint, access_token)
        if told.get("sub") != claims["sub"]:
            raise not_proven("it tells of two persons")
        return told | claims

    def _recognised(self, claims: dict[str, Any]) -> Recognised:
        subject = claims["sub"]
        if not (0 < len(subject) <= MAX_SUBJECT and subject.isascii() and subject.isprintable()):
            raise not_proven('its claim "sub" is not what it has to be')
        groups = claim_of(claims, self._terms.groups_claim) if self._terms.groups_claim else None
        groups = [groups] if isinstance(groups, str) else groups
        if groups is not None and not (isinstance(groups, list) and len(groups) <= MAX_GROUPS):
            raise not_proven(f'its claim "{self._terms.groups_claim}" is no list of groups')
        return Recognised(
            issuer=self._terms.issuer,
            subject=subject,
            name=_text(claim_of(claims, self._terms.name_claim)),
            called=_text(claims.get("name")),
            groups=tuple(group for group in groups or () if isinstance(group, str) and len(group) <= MAX_GROUP),
        )


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name, or the one to which its parts lead: ``realm_access.roles``. None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(value: Any) -> str:
    """Empty for what is none, as half of a surrogate pair."""
    is_text = isinstance(value, str) and len(value) <= MAX_NAME
    return value if is_text and not any("\ud800" <= letter <= "\udfff" for letter in value) else ""


def _is_header(text: str) -> bool:
    return len(text) <= MAX_ACCESS_TOKEN and text.isascii() and text.isprintable()


def _with_query(url: str, **parameters: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
