"""A store that speaks the API of HashiCorp Vault's key-value engine, version 2: Vault itself, or OpenBao.

Its answers are bounded in size and time, redirects are refused, and its words are never passed on. A value is kept for
some seconds, so that a fleet that starts together asks once.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from gamekeeper.domain.secret.reference import Reference, VaultReference
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.errors import ConflictError, ForbiddenError, GamekeeperError, NotFoundError, UnavailableError
from gamekeeper.secret_stores.folder import checked

KNOWN_SECONDS = 10.0
MAX_KNOWN = 256
MAX_ANSWER_BYTES = 1_500_000  # Vault's own storage takes 1 MiB for a path
MAX_CREDENTIAL_BYTES = 4096
LEASE_USED = 2 / 3  # of a token's life; then a new one is fetched
_AWAY = frozenset({408, 412, 429, 472, 473, 500, 502, 503, 504})


@dataclass(frozen=True, repr=False)
class VaultTerms:
    """``token_file`` holds a token, which somebody else renews there; or ``role_id`` and ``secret_id_file`` sign in by
    AppRole. ``roots`` are the CAs to trust, None for those of the system. ``seconds`` bounds a whole question."""

    address: str
    mount: str = "secret"
    namespace: str = ""
    token_file: Path | None = None
    role_id: str = ""
    secret_id_file: Path | None = None
    role_mount: str = "approle"
    roots: Path | None = None
    seconds: float = 5.0


@dataclass(frozen=True)
class _Answer:
    status: int
    body: dict[str, Any]


class VaultStore:
    """Satisfies ``OutsideStore``."""

    def __init__(self, terms: VaultTerms, clock: Callable[[], float] = time.monotonic) -> None:
        self._terms = terms
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, SecretValue]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[SecretValue]] = {}
        self._token, self._token_until = "", 0.0
        self._signing_in = asyncio.Lock()
        self._trust: ssl.SSLContext | None = None

    async def read(self, reference: Reference) -> SecretValue:
        assert reference.vault is not None
        key = str(reference)
        known = self._known.get(key)
        if known is not None and self._clock() - known[0] < KNOWN_SECONDS:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask_bounded(reference.vault))
            asking.add_done_callback(lambda task: self._asked(key, task))
        return await asyncio.shield(asking)

    def _asked(self, key: str, task: asyncio.Task[SecretValue]) -> None:
        del self._asking[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._known[key] = self._clock(), task.result()
        self._known.move_to_end(key)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def _ask_bounded(self, wanted: VaultReference) -> SecretValue:
        terms = self._terms
        try:
            async with asyncio.timeout(terms.seconds), self._client() as client:
                return await self._ask(client, wanted)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise UnavailableError(f"{terms.address} did not answer in {terms.seconds:g} s") from error
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{terms.address} can't be reached: {type(error).__name__}",
                hint="see GAMEKEEPER_VAULT_ADDRESS and GAMEKEEPER_VAULT_ROOTS of the api",
            ) from error

    def _client(self) -> httpx.AsyncClient:
        """Raises ConflictError for roots that can't be read."""
        terms = self._terms
        headers = {"X-Vault-Request": "true"}
        if terms.namespace:
            headers["X-Vault-Namespace"] = terms.namespace
        return httpx.AsyncClient(
            base_url=terms.address.rstrip("/") + "/v1/",
            headers=headers,
            verify=self._trusted(),
            timeout=terms.seconds,
            follow_redirects=False,
            trust_env=False,
        )

    def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            roots = self._terms.roots
            try:
                self._trust = ssl.create_default_context(cafile=str(roots) if roots is not None else None)
            except (OSError, ssl.SSLError) as error:
                raise ConflictError(
                    f"{roots} holds no roots that can be read", hint="see GAMEKEEPER_VAULT_ROOTS"
                ) from error
        return self._trust

    async def _ask(self, client: httpx.AsyncClient, wanted: VaultReference) -> SecretValue:
        where = f"{self._terms.mount}/data/{wanted.path}"
        parameters = {"version": wanted.version} if wanted.version is not None else {}
        token = await self._get_token(client)
        answer = await self._call(client, "GET", where, token, params=parameters)
        if answer.status == 403 and self._terms.role_id:  # the token ended before its time
            token = await self._get_token(client, but=token)
            answer = await self._call(client, "GET", where, token, params=parameters)
        if answer.status != 200:
            raise self._refusal(answer, wanted)
        return _value(answer.body, wanted)

    async def _get_token(self, client: httpx.AsyncClient, but: str = "") -> str:
        """Raises ConflictError for a file that can't be read, and ForbiddenError for a role that is refused."""
        terms = self._terms
        if not terms.role_id:
            return _credential(terms.token_file, "GAMEKEEPER_VAULT_TOKEN_FILE")
        async with self._signing_in:
            if self._token and self._token != but and self._clock() < self._token_until:
                return self._token
            secret_id = _credential(terms.secret_id_file, "GAMEKEEPER_VAULT_SECRET_ID_FILE")
            path = f"auth/{terms.role_mount}/login"
            answer = await self._call(client, "POST", path, "", json={"role_id": terms.role_id, "secret_id": secret_id})
            auth = answer.body.get("auth")
            token = auth.get("client_token") if isinstance(auth, dict) else None
            if answer.status != 200 or not isinstance(token, str) or not _is_header(token):
                if answer.status in _AWAY:
                    raise self._away(answer.status)
                raise ForbiddenError(
                    f"{terms.address} refused the role of the api (status {answer.status})",
                    hint="see GAMEKEEPER_VAULT_ROLE_ID, and whether the secret id has ended",
                )
            seconds = auth.get("lease_duration") if isinstance(auth, dict) else None
            life = float(seconds) if isinstance(seconds, int) and seconds > 0 else 3600.0
            self._token, self._token_until = token, self._clock() + life * LEASE_USED
            return token

    async def _call(self, client: httpx.AsyncClient, method: str, path: str, token: str, **options: Any) -> _Answer:
        """Raises UnavailableError for an answer that is none of Vault's, and ConflictError for one without bounds."""
        headers = {"X-Vault-Token": token} if token else {}
        data = bytearray()
        async with client.stream(method, quote(path, safe="/"), headers=headers, **options) as answer:
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > MAX_ANSWER_BYTES:
                    raise ConflictError(f"{self._terms.address} answers with more than {MAX_ANSWER_BYTES:,} bytes")
        if 300 <= answer.status_code < 400:
            raise UnavailableError(
                f"{self._terms.address} sends elsewhere, which is refused: tokens go to no other server",
                hint="give GAMEKEEPER_VAULT_ADDRESS the address of the active server, or of a balancer before it",
            )
        try:
            body = json.loads(data) if data else {}
        except (ValueError, RecursionError) as error:
            if answer.status_code == 200:
                raise UnavailableError(f"{self._terms.address} answers with something else than JSON") from error
            body = {}
        return _Answer(answer.status_code, body if isinstance(body, dict) else {})

    def _refusal(self, answer: _Answer, wanted: VaultReference) -> GamekeeperError:
        where = f"{self._terms.mount}/{wanted.path}"
        if answer.status in _AWAY:
            return self._away(answer.status)
        if answer.status == 403:
            return ForbiddenError(
                f"the api may not read {where} at {self._terms.address}",
                hint=f"its token has ended, or its policy lacks read on {self._terms.mount}/data/{wanted.path}",
            )
        if answer.status == 404:
            return NotFoundError(_what_is_missing(answer.body, where, wanted), hint="see the path and the mount there")
        return ConflictError(f"{self._terms.address} refuses the question for {where} (status {answer.status})")

    def _away(self, status: int) -> UnavailableError:
        why = "it is sealed, or in maintenance" if status == 503 else f"status {status}"
        return UnavailableError(f"{self._terms.address} can't answer now: {why}", hint="it is asked again")


def _what_is_missing(body: dict[str, Any], where: str, wanted: VaultReference) -> str:
    """A deleted version is answered as a missing one, with its metadata."""
    data = body.get("data")
    metadata = data.get("metadata") if isinstance(data, dict) else None
    version = f"version {wanted.version}" if wanted.version is not None else "the newest version"
    if isinstance(metadata, dict) and metadata.get("destroyed") is True:
        return f"{version} of {where} was destroyed there"
    if isinstance(metadata, dict) and metadata.get("deletion_time"):
        return f"{version} of {where} was deleted there"
    return f"there is no {where}{f' in {version}' if wanted.version is not None else ''}"


def _value(body: dict[str, Any], wanted: VaultReference) -> SecretValue:
    data = body.get("data")
    pairs = data.get("data") if isinstance(data, dict) else None
    if not isinstance(pairs, dict):
        raise ConflictError(f"{wanted.path} holds no pairs: its engine is not the key-value engine of version 2")
    if wanted.key not in pairs:
        raise NotFoundError(f'{wanted.path} has no key "{wanted.key}"')
    value = pairs[wanted.key]
    if not isinstance(value, str):
        raise ConflictError(f'the value of "{wanted.key}" in {wanted.path} is no text')
    try:
        return checked(value.encode(), f'"{wanted.key}" in {wanted.path}')
    except UnicodeEncodeError:
        raise ConflictError(f'the value of "{wanted.key}" in {wanted.path} is no valid text') from None


def _credential(path: Path | None, setting: str) -> str:
    """Read each time: whoever renews it writes the file anew."""
    if path is None:
        raise ConflictError(f"the api has no credential for it: {setting} is not given")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CREDENTIAL_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConflictError(f"{path} can't be read: {reason}", hint=f"see {setting} of the api") from error
    if not _is_header(text):
        raise ConflictError(f"{path} holds no token", hint=f"see {setting} of the api")
    return text


def _is_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
