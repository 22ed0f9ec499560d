"""Answers of authenticators, checked by py_webauthn. ``passkey_answers`` alone imports this, and late.

What is commonly wrong has words of its own, told from the same bytes that the library then checks as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_authenticator_data,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AuthenticatorData, CredentialDeviceType

from api.services.access.ceremonies import Opened
from api.services.access.passkey_answers import (
    UNVERIFIED,
    WRONG_CHALLENGE,
    WRONG_ORIGIN,
    WRONG_RP,
    Answer,
    NewCredential,
    Use,
    wrong_answer,
)
from gamekeeper.errors import InvalidError

# The library's own errors, and those by which it fails at what is no answer at all, as an index behind the last byte.
_FAULTS = (WebAuthnException, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


def check_new(answer: Answer, opened: Opened) -> NewCredential:
    """Raises InvalidError. No certificate of a maker is asked for, so none is looked into."""
    with _told():
        credential = parse_registration_credential_json(answer)
        found = parse_attestation_object(credential.response.attestation_object)
        _check_client(credential.response.client_data_json, opened, "webauthn.create")
        _check_authenticator(found.auth_data, opened)
        if found.fmt not in ("none", "packed") or found.att_stmt.x5c:
            raise wrong_answer("the authenticator tells more of itself than it was asked for")
        made = verify_registration_response(
            credential=credential,
            expected_challenge=opened.challenge,
            expected_rp_id=opened.rp.id,
            expected_origin=list(opened.rp.origins),
            require_user_verification=True,
        )
        if made.credential_id != credential.raw_id:
            raise wrong_answer()
        decoded_public_key_to_cryptography(decode_credential_public_key(made.credential_public_key))
    is_synced = made.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    return NewCredential(credential.id, made.credential_public_key, made.sign_count, is_synced)


def check_use(answer: Answer, opened: Opened, public_key: bytes) -> Use:
    """Raises InvalidError."""
    with _told():
        credential = parse_authentication_credential_json(answer)
        _check_client(credential.response.client_data_json, opened, "webauthn.get")
        _check_authenticator(parse_authenticator_data(credential.response.authenticator_data), opened)
        used = verify_authentication_response(
            credential=credential,
            expected_challenge=opened.challenge,
            expected_rp_id=opened.rp.id,
            expected_origin=list(opened.rp.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,  # the library looks at it before it knows who says so
            require_user_verification=True,
        )
        return Use(used.new_sign_count, (credential.response.user_handle or b"").decode())


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise wrong_answer() from error


def _check_client(client_data: bytes, opened: Opened, what: str) -> None:
    """Checks what the browser says: which page asked, for what, and with which challenge."""
    told = parse_client_data_json(client_data)
    if told.type != what or told.cross_origin:
        raise wrong_answer("the browser was asked for something else, or by a page within another site's")
    if told.challenge != opened.challenge:
        raise InvalidError(
            "the answer is to another challenge", hint="ask for options anew, and answer those", code=WRONG_CHALLENGE
        )
    if told.origin not in opened.rp.origins:
        raise InvalidError(
            f"passkeys of this server are for pages of {' and '.join(opened.rp.origins)}",
            hint="open the page there; GAMEKEEPER_PASSKEY_ORIGINS of the api names others",
            code=WRONG_ORIGIN,
        )


def _check_authenticator(data: AuthenticatorData, opened: Opened) -> None:
    """Checks what the authenticator says: for which server it is, and that it has recognised its user."""
    if data.rp_id_hash != hashlib.sha256(opened.rp.id.encode()).digest():
        raise InvalidError(
            f"the passkey is for another server than {opened.rp.id}", hint="choose one of this server", code=WRONG_RP
        )
    if not data.flags.up or not data.flags.uv:
        raise InvalidError(
            "the authenticator has not asked who you are",
            hint="set up a PIN, a fingerprint or a face there",
            code=UNVERIFIED,
        )
