"""Questions to an OpenID provider. Its answers are bounded in size and time, redirects are refused, and its words are
never passed on."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gamekeeper.errors import UnavailableError

AWAY = "oidc_away"
MAX_ANSWER_BYTES = 256 * 1024
_AS_SENT = frozenset({"", "identity"})


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


def broken(issuer: str, what: str) -> UnavailableError:
    """The provider answers, but not as one does."""
    return UnavailableError(
        f"the provider {issuer} {what}", hint="try again later; an admin may look at GAMEKEEPER_OIDC_*", code=AWAY
    )


class Answers:
    def __init__(self, issuer: str, roots: Path | None, seconds: float) -> None:
        self._issuer = issuer
        self._roots = roots
        self._seconds = seconds
        self._trust: ssl.SSLContext | None = None

    async def get(self, url: str, token: str = "") -> dict[str, Any]:
        """The object that stands there. Raises UnavailableError."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = await self._ask("GET", url, headers, None)
        if answer.status != 200:
            raise broken(self._issuer, f"answers with the status {answer.status}")
        return answer.body

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Raises UnavailableError, but not for a refusal (a status from 400 to 499)."""
        answer = await self._ask("POST", url, headers, form)
        if not (answer.status == 200 or 400 <= answer.status < 500):
            raise broken(self._issuer, f"answers with the status {answer.status}")
        return answer

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Answer:
        try:
            async with asyncio.timeout(self._seconds), self._client() as client:
                return await self._read(client, method, url, headers, form)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise broken(self._issuer, f"did not answer in {self._seconds:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise broken(self._issuer, f"can't be reached: {type(error).__name__}") from error

    async def _read(
        self,
        client: httpx.AsyncClient,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> Answer:
        data = bytearray()
        wanted = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        async with client.stream(method, url, headers=wanted, data=form) as answer:
            if 300 <= answer.status_code < 400:
                raise broken(self._issuer, "sends elsewhere, which is refused")
            if answer.headers.get("content-encoding", "").lower() not in _AS_SENT:
                raise broken(self._issuer, "answers compressed, which nobody asked for")
            async for part in answer.aiter_raw():
                data += part
                if len(data) > MAX_ANSWER_BYTES:
                    raise broken(self._issuer, f"answers with more than {MAX_ANSWER_BYTES // 1024} KiB")
        if answer.status_code >= 500:
            return Answer(answer.status_code, {})
        return Answer(answer.status_code, self._object(answer.headers.get("content-type", ""), bytes(data)))

    def _object(self, content_type: str, data: bytes) -> dict[str, Any]:
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise broken(self._issuer, "answers with something else than JSON")
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise broken(self._issuer, "answers with something else than JSON") from error
        if not isinstance(body, dict):
            raise broken(self._issuer, "answers with something else than a JSON object")
        return body

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self._trusted(), timeout=self._seconds, follow_redirects=False, trust_env=False)

    def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            try:
                self._trust = ssl.create_default_context(cafile=str(self._roots) if self._roots is not None else None)
            except (OSError, ssl.SSLError) as error:
                raise UnavailableError(
                    f"{self._roots} holds no roots that can be read", hint="see GAMEKEEPER_OIDC_ROOTS", code=AWAY
                ) from error
        return self._trust
