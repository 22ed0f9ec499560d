"""The ends of this control plane's certificates, told before anything fails by one.

All are renewed by themselves but an operator's files and the CA; and a renewal may fail for weeks without being felt.
"""

from __future__ import annotations

from datetime import timedelta

from api.services.access.certificate import CertificateService
from api.services.access.rest_certificate import RestCertificate
from gamekeeper.certificates.pair import is_near, is_near_its_end
from gamekeeper.errors import UnavailableError

CA_NEAR = timedelta(days=60)  # somebody has to do something, and then each node has to hear of it


class CertificateEnds:
    """``rest`` is None for plain HTTP."""

    def __init__(self, certificates: CertificateService, rest: RestCertificate | None) -> None:
        self._certificates = certificates
        self._rest = rest

    async def check(self) -> None:
        """Raises UnavailableError with all that an operator should look at."""
        now, told = self._certificates.now(), []
        if self._rest is not None and self._rest.trouble:
            told.append(self._rest.trouble)
        if is_near_its_end(self._certificates.server.chain_pem, now):
            told.append("the certificate of the node link and the gateway is not renewed; see the api's log")
        name, begin, end = self._certificates.authority.ends_first
        if is_near(begin, end, now, CA_NEAR):
            todo = "see docs/certificates.md" if self._certificates.authority.is_outside else "gamekeeper ca rotate"
            told.append(f"the CA's certificate {name} ends on {end:%Y-%m-%d %H:%M} UTC: {todo}")
        if told:
            raise UnavailableError("; ".join(told))

    def seconds_left(self) -> dict[str, float]:
        ends = {"ca": self._certificates.authority.ends_first[2], "links": self._certificates.server.not_after}
        if self._rest is not None:
            ends["rest"] = self._rest.served.not_after
        return {name: (end - self._certificates.now()).total_seconds() for name, end in ends.items()}
