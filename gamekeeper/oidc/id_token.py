"""ID tokens: believed when a key of the provider has signed them, for us, for this sign-in, and not long ago."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gamekeeper.errors import UnauthenticatedError
from gamekeeper.oidc.signing_keys import ALGORITHMS, Key, SigningKeys

LIED = "oidc_not_proven"
LEEWAY_SECONDS = 60
MAX_TOKEN = 128 * 1024
_CLOCKS = frozenset({"exp", "iat", "nbf"})


@dataclass(frozen=True)
class Expected:
    """``access_token`` is the one that came with the ID token."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str = ""


def not_proven(why: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"what the provider says proves nobody: {why}", hint="sign in again; if it stays so, tell an admin", code=LIED
    )


async def verified(
    token: str, expected: Expected, keys: SigningKeys, now: Callable[[], float] = time.time
) -> dict[str, Any]:
    """The claims of the token. Raises UnauthenticatedError for one that proves nothing, and UnavailableError where the
    keys can't be had."""
    kid, algorithm = _header(token)
    await asyncio.to_thread(_load_libraries)
    found = await keys.fitting(kid, algorithm)
    if not found:
        raise not_proven("no key of the provider has signed it")
    for key in found:
        claims = _signed(token, key, algorithm)
        if claims is not None:
            return _checked(claims, algorithm, expected, int(now()))
    raise not_proven("its signature is wrong")


def _load_libraries() -> None:
    """Beside the event loop, which would stand still for a third of a second. Few starts of the api need them."""
    for name in ("authlib.oidc.core", "joserfc.jwt"):
        importlib.import_module(name)


def _header(token: str) -> tuple[str | None, str]:
    """The id of the key and the algorithm. Nothing else of a header is used, least of all a key that stands in it."""
    head = token.partition(".")[0]
    try:
        if len(token) > MAX_TOKEN or len(head) > 4096:
            raise ValueError("it is too long")
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError) as error:
        raise not_proven("it is no signed token") from error
    kid = header.get("kid") if isinstance(header, dict) else None
    algorithm = header.get("alg") if isinstance(header, dict) else None
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise not_proven("its algorithm is none that is taken")
    if kid is not None and not isinstance(kid, str):
        raise not_proven("it is no signed token")
    return kid, algorithm


def _signed(token: str, key: Key, algorithm: str) -> dict[str, Any] | None:
    """None where this key has not signed it."""
    from joserfc import jws, jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = 4096
    try:
        return dict(jwt.decode(token, import_key(key), registry=registry).claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _checked(claims: dict[str, Any], algorithm: str, expected: Expected, now: int) -> dict[str, Any]:
    from authlib.oidc.core import CodeIDToken
    from joserfc.errors import ClaimError

    wanted = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.client_id},
        "sub": {"essential": True},
        "exp": {"essential": True},
        "iat": {"essential": True},
    }
    parameters = {
        "nonce": expected.nonce,
        "client_id": expected.client_id,
        "access_token": expected.access_token,
    }
    found = CodeIDToken(claims, {"alg": algorithm}, wanted, parameters)
    try:
        found.validate(now, LEEWAY_SECONDS)
    except ClaimError as error:
        hint = ", or the clocks differ by more than a minute" if error.claim in _CLOCKS else ""
        raise not_proven(f'its claim "{error.claim}" is not what it has to be{hint}') from error
    return dict(found)
