"""The keys with which an OpenID provider signs (JWKS). It changes them when it likes: a key that is not known is looked
for once more, and not oftener than every few seconds, however many such tokens come."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gamekeeper.oidc.kept import Kept

KEPT_SECONDS = 3600.0
ASKED_AGAIN_SECONDS = 10.0
MAX_KEYS, MAX_TRIED = 100, 4
# The kind of key of each algorithm. None of them is "none", nor one (HS256) whose key would be a secret of both.
ALGORITHMS: Mapping[str, str] = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"ES{bits}": "EC" for bits in (256, 384, 512)},
}
_SHORTEST_MODULUS, _LONGEST_MODULUS, _LONGEST_EXPONENT = 342, 1366, 8  # 2048 to 8192 bits, as base64url
_CURVES = ("P-256", "P-384", "P-521")

Key = dict[str, Any]


class SigningKeys:
    def __init__(self, fetch: Callable[[], Awaitable[list[Key]]], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept = Kept(fetch, KEPT_SECONDS, clock)

    async def fitting(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed; none where no key of the provider fits. Raises UnavailableError."""
        found = self._find(await self._kept.get(), kid, algorithm)
        if found:
            return found
        return self._find(await self._kept.get(self._clock() - ASKED_AGAIN_SECONDS), kid, algorithm)

    @staticmethod
    def _find(keys: list[Key], kid: str | None, algorithm: str) -> list[Key]:
        """Without a key id, a provider has to have a single key that fits."""
        fitting = [key for key in keys if _fits(key, algorithm)]
        if kid is None:
            return fitting if len(fitting) == 1 else []
        return [key for key in fitting if key.get("kid") == kid][:MAX_TRIED]


def _fits(key: Key, algorithm: str) -> bool:
    kind = ALGORITHMS[algorithm]
    if key.get("kty") != kind or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    if kind != "RSA":
        return key.get("crv") in _CURVES
    modulus, exponent = key.get("n"), key.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str):
        return False
    return _SHORTEST_MODULUS <= len(modulus) <= _LONGEST_MODULUS and len(exponent) <= _LONGEST_EXPONENT
