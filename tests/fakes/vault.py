"""A server on loopback that answers as Vault's key-value engine (version 2) and AppRole do, and does worse if told."""

from __future__ import annotations

import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ROLE, SECRET_ID = "role-1", "secret-id-1"


class FakeVault:
    """``trouble`` is what it does instead of an answer: ``hang``, ``huge``, ``endless``, ``garbage``, ``deep``,
    ``redirect``, ``cut`` or a status."""

    def __init__(self) -> None:
        self.mount = "secret"
        self.namespace = ""
        self.tokens = {"root-token"}
        self.lease_seconds = 3600
        self.trouble: str | int = ""
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()
        self._versions: dict[str, list[dict[str, Any] | None]] = {}
        self._gone: dict[tuple[str, int], str] = {}
        self.address = ""

    def write(self, path: str, **pairs: Any) -> int:
        self._versions.setdefault(path, []).append(pairs)
        return len(self._versions[path])

    def delete(self, path: str, version: int) -> None:
        self._gone[path, version] = "deleted"

    def destroy(self, path: str, version: int) -> None:
        self._gone[path, version] = "destroyed"

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        url = urlsplit(target)
        path = unquote(url.path).removeprefix("/v1/")
        self.asked.append(f"{method} {path}{f'?{url.query}' if url.query else ''}")
        self.headers.append(headers)
        if isinstance(self.trouble, int):
            return self.trouble, {"errors": ["canary-of-vault: something went wrong"]}
        if headers.get("x-vault-namespace", "") != self.namespace:
            return 404, {"errors": ["no handler for route"]}
        if method == "POST" and path == "auth/approle/login":
            return self._login(json.loads(body))
        if headers.get("x-vault-token") not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if not path.startswith(f"{self.mount}/data/"):
            return 404, {"errors": [f'no handler for route "{path}". route entry not found.']}
        version = int(parse_qs(url.query).get("version", ["0"])[0])
        return self._read(path.removeprefix(f"{self.mount}/data/"), version)

    def _login(self, given: dict[str, str]) -> tuple[int, Any]:
        if given != {"role_id": ROLE, "secret_id": SECRET_ID}:
            return 400, {"errors": ["invalid role or secret ID"]}
        token = f"hvs.{secrets.token_hex(8)}"
        self.tokens.add(token)
        auth = {"client_token": token, "lease_duration": self.lease_seconds, "renewable": True, "policies": ["default"]}
        return 200, {"request_id": "r", "data": None, "auth": auth, "warnings": None}

    def _read(self, path: str, version: int) -> tuple[int, Any]:
        versions = self._versions.get(path, [])
        number = version or len(versions)
        if not 1 <= number <= len(versions):
            return 404, {"errors": []}
        gone = self._gone.get((path, number), "")
        metadata = {
            "created_time": "2026-01-31T12:00:00.123456789Z",
            "custom_metadata": None,
            "deletion_time": "2026-02-01T12:00:00.123456789Z" if gone == "deleted" else "",
            "destroyed": gone == "destroyed",
            "version": number,
        }
        data = {"data": None if gone else versions[number - 1], "metadata": metadata}
        fields = {"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 0, "auth": None}
        return 404 if gone else 200, fields | {"data": data, "warnings": None, "wrap_info": None}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        vault = self.server.vault
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = vault.answer(self.command, self.path, headers, body)
        match vault.trouble:
            case "hang":
                vault.released.wait()
                self.close_connection = True
            case "cut":
                self.close_connection = True
            case "redirect":
                self._send(307, b"", Location=f"http://127.0.0.2:1{self.path}")
            case "garbage":
                self._send(200, b"<html>not Vault</html>")
            case "deep":
                self._send(200, b"[" * 200_000)
            case "huge":
                self._send(200, b'{"data": {"data": {"password": "' + b"x" * 2_000_000 + b'"}}}')
            case "endless":
                self._send_for_ever()
            case _:
                self._send(status, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def _send_for_ever(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while not self.server.vault.released.is_set():
                self.wfile.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, vault: FakeVault) -> None:
        self.vault = vault
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no matter."""


@contextmanager
def fake_vault(context: ssl.SSLContext | None = None) -> Iterator[FakeVault]:
    """A running one; over TLS with a context."""
    vault = FakeVault()
    server = _Server(vault)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if context is None else "https"
    vault.address = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        vault.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
