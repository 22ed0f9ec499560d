"""A control plane of files: HTTPS by a CA of its own, with an archive whose installer notes what it was told."""

from __future__ import annotations

import hashlib
import io
import platform
import ssl
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from api.rest.agent import JOIN_SCRIPT
from gamekeeper.certificates.pem import pin_of
from tests.fixtures.certificates import TestAuthority

ARCHIVE = "gamekeeper-agent-9-test.tar.gz"
INSTALLER = 'echo "installed for $1 with $GAMEKEEPER_AGENT_TOKEN" | tee "$DESTDIR/told"\n'


def archive(installer: str = INSTALLER) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        entry = tarfile.TarInfo("gamekeeper-agent/install.sh")
        entry.size = len(installer)
        packed.addfile(entry, io.BytesIO(installer.encode()))
    return buffer.getvalue()


class ControlPlane:
    """``answers`` are its files by path, to be altered by a test; ``asked`` are the paths that it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = TestAuthority(folder / "ca")
        self.roots = self.authority.roots
        self.asked: list[str] = []
        self.lies_about_length = False
        self.port = 0
        packed = archive()
        self.answers = {
            "/join.sh": JOIN_SCRIPT,
            "/api/v1/roots": self.roots.encode(),
            f"/agent/{ARCHIVE}": packed,
            f"/agent/{platform.machine()}.txt": self.note(hashlib.sha256(packed).hexdigest()),
        }

    def note(self, sha256: str, glibc: str = "2.17") -> bytes:
        machine = platform.machine()
        return f"file {ARCHIVE}\nsha256 {sha256}\nversion 9\narchitecture {machine}\nglibc {glibc}\n".encode()

    @property
    def pin(self) -> str:
        return pin_of(self.roots)

    @property
    def key(self) -> str:
        return f"gke_secret-_of-a-test.{self.pin}"

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @contextmanager
    def serving(
        self, names: tuple[str, ...] = (), certificate: TestAuthority | None = None, *, is_plain: bool = False
    ) -> Iterator[None]:
        """Its certificate is good for ``gamekeeper`` and ``names``, and by its own CA where no other is given."""
        own = (certificate or self.authority).authority.issue_server(list(names), datetime.now(UTC))
        (self.folder / "server.pem").write_text(own.chain_pem + own.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if not is_plain:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        control_plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                control_plane.asked.append(self.path)
                body = control_plane.answers.get(self.path)
                problem = b'{"detail":"no bundle is here","hint":"make agent-bundle"}'
                self.send_response(200 if body is not None else 404)
                length = len(body if body is not None else problem)
                self.send_header("Content-Length", str(length + 100 * control_plane.lies_about_length))
                self.end_headers()
                self.wfile.write(body if body is not None else problem)

            def log_message(self, *arguments: object) -> None:
                """The tests read their own list."""

        return Handler
