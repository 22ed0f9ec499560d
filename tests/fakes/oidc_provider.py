"""An OpenID provider on loopback that holds us to the protocol (PKCE, a code once, the client's secret), and lies where
a test tells it to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.hang import HANG_SECONDS

CLIENT_ID, CLIENT_SECRET = "gamekeeper", "a secret of + both: %"
DISCOVERY, JWKS, TOKEN, USERINFO = "/.well-known/openid-configuration", "/jwks", "/token", "/userinfo"


@dataclass
class Raw:
    """An answer as it goes over the line."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    after: Callable[[], Awaitable[None]] | None = None  # waited for before the body is sent

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Raw:
        return cls(json.dumps(value).encode(), status)


@cache
def rsa_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@cache
def ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@dataclass
class _Grant:
    claims: dict[str, Any]
    challenge: str
    redirect_uri: str


class FakeOidcProvider:
    """``metadata``, ``claims`` and ``header`` are put over what it would say; a value of None leaves it out.
    ``raw`` are answers in the place of its own, by path. ``asked`` are the paths that it was asked for."""

    def __init__(self) -> None:
        self.port = 0
        self.keys: list[RSAKey | ECKey] = [rsa_key("one")]
        self.key: RSAKey | ECKey = self.keys[0]
        self.algorithm = "RS256"
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.raw: dict[str, Raw] = {}
        self.asked: list[str] = []
        self.token: Callable[[str], str] = lambda token: token
        self._grants: dict[str, _Grant] = {}
        self._subjects: dict[str, Any] = {}
        self._at = time.time

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of an api that knows it."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_public_url": "http://localhost",
        } | more

    def sign_in(self, url: str, subject: str = "s-1", **claims: Any) -> dict[str, str]:
        """The words that a browser brings back which was sent to ``url``, after the person has signed in here."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?"), url
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        told = {"sub": subject, "nonce": asked["nonce"]} | claims
        self._grants[code] = _Grant(told, asked["code_challenge"], asked["redirect_uri"])
        return {"state": asked["state"], "code": code}

    def id_token(self, claims: dict[str, Any], access_token: str) -> str:
        now = int(self._at())
        told = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "at_hash": _half_hash(access_token)}
        told = _without_none(told | claims | self.claims)
        header = _without_none({"alg": self.algorithm, "kid": self.key.kid} | self.header)
        return self.token(jwt.encode(header, told, self.key, algorithms=[header["alg"]]))

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> Raw:
        self.asked.append(path)
        if path in self.raw:
            return self.raw[path]
        if path == DISCOVERY:
            ways = {name: f"{self.issuer}/{name}" for name in ("authorize", "token", "jwks", "userinfo", "end")}
            told = {
                "issuer": self.issuer,
                "authorization_endpoint": ways["authorize"],
                "token_endpoint": ways["token"],
                "jwks_uri": ways["jwks"],
                "userinfo_endpoint": ways["userinfo"],
                "end_session_endpoint": ways["end"],
            }
            return Raw.of(_without_none(told | self.metadata))
        if path == JWKS:
            return Raw.of({"keys": [key.as_dict(private=False) for key in self.keys]})
        if path == TOKEN:
            return self._token(headers, {key: values[0] for key, values in parse_qs(body.decode()).items()})
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if path == USERINFO and bearer in self._subjects:
            return Raw.of({"sub": self._subjects[bearer]} | self.userinfo)
        return Raw.of({"error": "not_found"}, 404)

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> Raw:
        if not _is_client(headers.get("authorization", ""), form):
            return Raw.of({"error": "invalid_client"}, 401)
        grant = self._grants.pop(form.get("code", ""), None)
        proven = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            grant is None
            or grant.challenge != proven.decode().rstrip("=")
            or grant.redirect_uri != form["redirect_uri"]
        ):
            return Raw.of({"error": "invalid_grant", "error_description": "<b>no</b>"}, 400)
        access_token = secrets.token_urlsafe(16)
        self._subjects[access_token] = grant.claims["sub"]
        told = {"id_token": self.id_token(grant.claims, access_token), "access_token": access_token}
        return Raw.of(told | {"token_type": "Bearer"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            found = await self.answer(urlsplit(first.split()[1]).path, headers, body)
            told = {"Connection": "close", "Content-Length": str(len(found.body))} | found.headers
            words = "".join(f"{name}: {value}\r\n" for name, value in told.items())
            writer.write(f"HTTP/1.1 {found.status} Told\r\n{words}\r\n".encode())
            if found.after is not None:
                await found.after()
            writer.write(found.body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked has gone
        finally:
            writer.close()


@asynccontextmanager
async def fake_oidc_provider() -> AsyncIterator[FakeOidcProvider]:
    provider = FakeOidcProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        async with asyncio.timeout(HANG_SECONDS):
            await server.wait_closed()


def _is_client(authorization: str, form: dict[str, str]) -> bool:
    if not authorization:
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
    name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    return (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET)


def _half_hash(access_token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).decode().rstrip("=")


def _without_none(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if value is not None}
