"""REST's server, and the one that follows it when the certificate is a new one.

Granian reads a certificate at its start alone. So a new server begins on the same port beside the old one, which takes
no more connections from then on, and ends when its last answer has: streams go on as long as they like. Consoles are
closed with a word.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from granian.utils.proxies import wrap_asgi_with_proxy_headers
from starlette.types import ASGIApp

from api.services.access.rest_certificate import RestCertificate
from api.websockets import WebSockets
from gamekeeper.certificates.pem import certificates_in
from gamekeeper.logging import get_logger

log = get_logger(__name__)

HEADER_TIMEOUT_MS = 10_000
BUFFER_BYTES = 32 * 1024  # of each connection; all headers have to fit in
CONNECTIONS = 8192
START_SECONDS = 10.0
ASK_SECONDS = 0.05


@dataclass(frozen=True)
class _Serving:
    server: Server
    websockets: WebSockets
    task: asyncio.Task[None]

    def stop(self) -> None:
        self.server.stop()  # type: ignore[no-untyped-call]


class RestServer:
    """``certificate`` is None for plain HTTP. Of ``proxies`` alone is believed for whom they ask."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        certificate: RestCertificate | None,
        *,
        proxies: Sequence[str] = (),
        connections: int = CONNECTIONS,
    ) -> None:
        self._app: ASGIApp = wrap_asgi_with_proxy_headers(app, list(proxies)) if proxies else app
        self._connections = connections
        self._host = host
        self._port = port
        self._certificate = certificate
        self._all: set[_Serving] = set()
        if certificate is not None:
            certificate.load()

    async def serve(self) -> None:
        """Serves until ``stop``, or until the server ends by itself, which it should not."""
        current = self._start()
        while True:
            renewed = asyncio.create_task(self._renewed())
            try:
                await asyncio.wait({current.task, renewed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                renewed.cancel()
            if current.task.done():
                current.task.result()
                return
            current = await self._follow(current)

    def stop(self) -> None:
        for serving in self._all:
            serving.stop()

    async def _renewed(self) -> None:
        if self._certificate is None:
            await asyncio.Event().wait()
        else:
            await self._certificate.renewed.wait()
            self._certificate.renewed.clear()

    async def _follow(self, old: _Serving) -> _Serving:
        """The server that takes over; the old one where the new one does not come up."""
        assert self._certificate is not None
        leaf = ssl.PEM_cert_to_DER_cert(certificates_in(self._certificate.served.chain_pem)[0])
        new = self._start()
        try:
            async with asyncio.timeout(START_SECONDS):
                while await self._shown() != leaf:
                    await asyncio.sleep(ASK_SECONDS)
        except TimeoutError:
            log.error("REST can't be served with its new certificate; it goes on with the one of before")
            new.stop()
            return old
        await old.websockets.close()
        old.stop()
        log.info("REST is served with its new certificate; streams over older connections go on")
        return new

    async def _shown(self) -> bytes:
        """A certificate that is shown on the port: of two servers, one answers."""
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        with suppress(OSError):
            _, writer = await asyncio.open_connection(self._host, self._port, ssl=anybody)
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            return bytes(shown)
        return b""

    def _start(self) -> _Serving:
        file = self._certificate.file if self._certificate else None
        websockets = WebSockets(self._app)
        server = _server(websockets, self._host, self._port, file, self._connections)
        serving = _Serving(server, websockets, asyncio.create_task(server.serve()))
        self._all.add(serving)
        serving.task.add_done_callback(lambda _: self._all.discard(serving))
        return serving


def _server(app: ASGIApp, host: str, port: int, certificate: Path | None, connections: int) -> Server:
    """Granian rather than uvicorn: it closes a connection whose request headers, or whose handshake, never end.

    HTTP/2 is off: one connection of it has many requests, and no time limit for their headers.
    """
    return Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=BUFFER_BYTES),
        backlog=1024,
        backpressure=connections,
        log_enabled=False,
        websockets=True,
        ssl_cert=certificate,
        ssl_key=certificate,
    )
