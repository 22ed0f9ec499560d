"""An order of a certificate from a public CA by ACME (RFC 8555), with the HTTP-01 challenge.

The ``acme`` library is the one of certbot. It is large, so only the api imports this module, and only where it is used.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any

import requests
from acme import challenges, client, crypto_util, errors, messages, standalone
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from gamekeeper import __version__
from gamekeeper.certificates.acme_terms import AcmeTerms
from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.certificates.node_key import new_key
from gamekeeper.certificates.pair import read_pair
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError
from gamekeeper.whole_file import write_whole

ORDER_SECONDS = 90
CALL_SECONDS = 30


def order(terms: AcmeTerms, account_file: Path) -> OwnCertificate:
    """A certificate for the terms' names, with a new key. The account is made at the first order and kept.

    Blocks for up to two minutes. Raises InvalidError for what the CA or the terms will not let pass, UnavailableError
    for what may be over the next time.
    """
    try:
        key_pem = new_key()
        acme = _signed_in(terms, account_file)
        ordered = acme.new_order(_request(terms, key_pem), terms.profile or None)
        with _answering(terms, acme, ordered):
            done = acme.poll_and_finalize(ordered, datetime.now() + timedelta(seconds=ORDER_SECONDS))
        return read_pair(done.fullchain_pem, key_pem)
    except (errors.Error, messages.Error, requests.RequestException, JoseError, ValueError) as error:
        raise _translated(terms, error) from error


def _signed_in(terms: AcmeTerms, account_file: Path) -> client.ClientV2:
    account = _kept_account(terms, account_file)
    key = account[0] if account else JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    net = client.ClientNetwork(
        key,
        alg=ES256,
        user_agent=f"gamekeeper/{__version__}",
        timeout=CALL_SECONDS,
        verify_ssl=str(terms.roots) if terms.roots else True,  # type: ignore[arg-type]  # it is handed to requests
    )
    acme = client.ClientV2(client.ClientV2.get_directory(terms.directory, net), net)
    if account is None:
        registered = acme.new_account(_registration(terms, acme, key))
        kept = {"directory": terms.directory, "binding": terms.binding_id, "uri": registered.uri, "key": key.to_json()}
        write_whole(account_file, json.dumps(kept))
    else:
        net.account = messages.RegistrationResource(uri=account[1], body=messages.Registration())
    return acme


def _kept_account(terms: AcmeTerms, account_file: Path) -> tuple[JWKEC, str] | None:
    """Its key and its URL. None for an account of another directory, or a file that can't be read."""
    try:
        kept = json.loads(account_file.read_text())
        if (kept["directory"], kept["binding"]) != (terms.directory, terms.binding_id):
            return None
        key = JWKEC.from_json(kept["key"])
        return (key, str(kept["uri"])) if isinstance(key, JWKEC) else None
    except (OSError, ValueError, LookupError, TypeError, JoseError):
        return None


def _registration(terms: AcmeTerms, acme: client.ClientV2, key: JWKEC) -> messages.NewRegistration:
    binding: dict[str, Any] | None = None
    if terms.binding_id:
        binding = messages.ExternalAccountBinding.from_data(
            key.public_key(), terms.binding_id, terms.binding_key, acme.directory
        )
    elif acme.external_account_required():
        raise InvalidError(
            f"{terms.directory} takes customers of that CA alone",
            hint="get an external account binding there, and give GAMEKEEPER_ACME_EAB_KID and GAMEKEEPER_ACME_EAB_KEY",
        )
    return messages.NewRegistration.from_data(
        email=terms.email or None, external_account_binding=binding, terms_of_service_agreed=True
    )


def _request(terms: AcmeTerms, key_pem: str) -> bytes:
    names, addresses = [], []
    for name in terms.names:
        try:
            addresses.append(ipaddress.ip_address(name))
        except ValueError:
            names.append(name)
    return crypto_util.make_csr(key_pem.encode(), domains=names, ipaddrs=addresses)


@contextmanager
def _answering(terms: AcmeTerms, acme: client.ClientV2, ordered: messages.OrderResource) -> Iterator[None]:
    """Serves the answers to the challenges while the block goes on, and tells the CA that it may look. Of names that it
    checked not long ago it asks nothing."""
    assert acme.net.key is not None
    asked = [item for item in ordered.authorizations if item.body.status == messages.STATUS_PENDING]
    found = [_http_challenge(authorization) for authorization in asked]
    if not found:
        yield
        return
    resources = set()
    for body in found:
        response, validation = body.response_and_validation(acme.net.key)
        resources.add(standalone.HTTP01RequestHandler.HTTP01Resource(body.chall, response, validation))
    try:
        server = _Answers((terms.host, terms.port), resources, ipv6=":" in terms.host)
    except OSError as error:
        raise UnavailableError(
            f"port {terms.port} on {terms.host} can't be opened for the CA's question: {error.strerror}",
            hint="free it, or give this process the right to it; or lead port 80 of the name to another one, and give "
            "that as GAMEKEEPER_ACME_HTTP_PORT",
        ) from error
    with _served(server):
        for body in found:
            acme.answer_challenge(body, body.response(acme.net.key))
        yield


class _Answers(ThreadingMixIn, standalone.HTTP01Server):
    """A connection each, so that a stranger who says nothing on one doesn't hold up the CA."""

    daemon_threads = True


@contextmanager
def _served(server: standalone.HTTP01Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, name="acme-http-01", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _http_challenge(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
    for body in authorization.body.challenges:
        if isinstance(body.chall, challenges.HTTP01):
            return body
    raise InvalidError(
        f"the CA offers no HTTP-01 challenge for {authorization.body.identifier.value}",
        hint="give each name in full, without *",
    )


def _translated(terms: AcmeTerms, error: Exception) -> GamekeeperError:
    if isinstance(error, errors.ValidationError):
        failed = "; ".join(_failures(error))
        return UnavailableError(
            f"{terms.directory} could not check {failed}",
            hint=f"the name must lead to this machine, and its port 80 to port {terms.port} here, from the internet",
        )
    if isinstance(error, errors.TimeoutError):
        return UnavailableError(f"{terms.directory} did not decide within {ORDER_SECONDS} s")
    if isinstance(error, messages.Error):
        is_limit = error.code in ("rateLimited", "serverInternal", "badNonce")
        kind: Callable[..., GamekeeperError] = UnavailableError if is_limit else InvalidError
        return kind(f"{terms.directory} refuses: {error.detail or error.code}", hint=_hint(error.code))
    if isinstance(error, errors.IssuanceError):
        return UnavailableError(f"{terms.directory} issues no certificate: {error.error.detail}")
    if isinstance(error, requests.exceptions.SSLError):
        return UnavailableError(
            f"{terms.directory} shows a certificate that is not trusted here",
            hint="for a CA of your own give its root as GAMEKEEPER_ACME_ROOTS",
        )
    return UnavailableError(f"{terms.directory} can't be used: {error}", hint="check GAMEKEEPER_ACME_DIRECTORY")


def _failures(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for body in authorization.body.challenges:
            if body.error is not None:
                yield f"{authorization.body.identifier.value}: {body.error.detail or body.error.code}"


def _hint(code: str | None) -> str:
    return {
        "rateLimited": "it is asked again later by itself",
        "rejectedIdentifier": "check GAMEKEEPER_ACME_DOMAINS",
        "unsupportedIdentifier": "check GAMEKEEPER_ACME_DOMAINS",
        "malformed": "check GAMEKEEPER_ACME_DOMAINS",
        "invalidContact": "check GAMEKEEPER_ACME_EMAIL",
        "unsupportedContact": "check GAMEKEEPER_ACME_EMAIL",
        "externalAccountRequired": "give GAMEKEEPER_ACME_EAB_KID and GAMEKEEPER_ACME_EAB_KEY",
        "unauthorized": "check GAMEKEEPER_ACME_EAB_KID and GAMEKEEPER_ACME_EAB_KEY",
        "accountDoesNotExist": "remove the file acme/account.json below the CA's folder",
    }.get(code or "", "")
