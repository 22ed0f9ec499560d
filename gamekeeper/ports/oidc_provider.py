"""An OpenID provider, which recognises people for us. It may be away, slow, or lie."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.access.oidc import Recognised


class OidcProvider(Protocol):
    """Each call waits for some seconds at most."""

    async def authorization_url(self, state: str, nonce: str, challenge: str) -> str:
        """The address at which a person signs in there. Idempotent; a cancelled call has done nothing.

        Raises UnavailableError."""
        ...

    async def recognise(self, code: str, verifier: str, nonce: str, issuer: str | None) -> Recognised:
        """The person for whom the provider gave the code, which is used up by it. ``issuer`` is who says that it gave
        the code, None where nobody did. It is not idempotent; a cancelled call may have used the code up.

        Raises UnauthenticatedError for an answer that proves nobody, and UnavailableError."""
        ...

    async def end_session_url(self) -> str:
        """The address at which a browser ends its session there; empty where the provider has none. Idempotent.

        Raises UnavailableError."""
        ...
