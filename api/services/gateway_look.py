"""A look at the Temporal gateway from the api's side: nodes that can't reach it are online, and take no work."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.errors import UnavailableError

LOOK_SECONDS = 3.0


class GatewayLook:
    """``roots`` are those that nodes trust now."""

    def __init__(self, address: str, roots: Callable[[], str]) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._roots = roots

    async def look(self) -> None:
        """Raises UnavailableError unless it answers, with the certificate that nodes expect.

        A handshake is its first own word: the kernel takes connections for a process that is frozen.
        """
        where = f"the gateway at {self._host}:{self._port}"
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                context = ssl.create_default_context(cadata=self._roots())
                _, writer = await asyncio.open_connection(
                    self._host.strip("[]"), self._port, ssl=context, server_hostname=SERVER_NAME
                )
        except TimeoutError as error:
            raise UnavailableError(f"{where} does not answer", hint="is it frozen?") from error
        except ssl.SSLCertVerificationError as error:
            raise UnavailableError(
                f"{where} shows a certificate that nodes do not take: {error.verify_message}",
                hint="does it read the files that the api writes? GAMEKEEPER_GATEWAY_CERTIFICATE",
            ) from error
        except OSError as error:
            raise UnavailableError(f"{where} does not answer: {error.strerror or error}", hint="is it up?") from error
        writer.close()
        with suppress(OSError):  # it wants a node's certificate, and says so to the end
            await writer.wait_closed()
