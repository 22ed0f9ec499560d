"""A browser with an authenticator in software: it keeps passkeys as a device does, and signs what browsers sign.

A test sets what an honest one would not do: another origin, no verification, a copy of a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, MAY_SYNC, SYNCED, HAS_KEY = 0x01, 0x04, 0x08, 0x10, 0x40
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Credential:
    id: bytes
    key: Key
    rp_id: str
    user_handle: bytes
    count: int = 0

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ec.ECDSA(SHA256()))

    def cose(self) -> bytes:
        public = self.key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()})
        numbers = public.public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})


@dataclass
class Browser:
    """``counts`` is False of a key ring that several devices share: its passkeys tell 0 for ever."""

    origin: str = "http://localhost:7380"
    flags: int = PRESENT | VERIFIED
    counts: bool = True
    algorithm: int = -7
    client: dict[str, Any] = field(default_factory=dict)  # further words of the browser
    rp_id: str = ""  # instead of that of the options
    kept: list[Credential] = field(default_factory=list)

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answers as ``navigator.credentials.create`` does, in JSON."""
        known = {unb64(item["id"]) for item in options["excludeCredentials"]}
        assert not known & {credential.id for credential in self.kept}, "InvalidStateError"
        assert self.algorithm in [item["alg"] for item in options["pubKeyCredParams"]]
        selection = options["authenticatorSelection"]
        assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
        key: Key = (
            ed25519.Ed25519PrivateKey.generate() if self.algorithm == -8 else ec.generate_private_key(ec.SECP256R1())
        )
        made = Credential(secrets.token_bytes(32), key, options["rp"]["id"], unb64(options["user"]["id"]))
        self.kept.append(made)
        return self.attest(made, options)

    def attest(self, made: Credential, options: dict[str, Any]) -> dict[str, Any]:
        head = b"\0" * 16 + len(made.id).to_bytes(2) + made.id
        data = self._authenticator_data(made, HAS_KEY) + head + made.cose()
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client_data = self._client_data("webauthn.create", options)
        response = {"clientDataJSON": b64(client_data), "attestationObject": b64(attestation), "transports": ["usb"]}
        return _credential(made, response)

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answers as ``navigator.credentials.get`` does, by the newest passkey that fits."""
        named = {unb64(item["id"]) for item in options["allowCredentials"]}
        fitting = [
            credential
            for credential in self.kept
            if credential.rp_id == options["rpId"] and (not named or credential.id in named)
        ]
        assert fitting, "NotAllowedError"
        return self.use(fitting[-1], options)

    def use(self, credential: Credential, options: dict[str, Any]) -> dict[str, Any]:
        credential.count += 1 if self.counts else 0
        data = self._authenticator_data(credential)
        client_data = self._client_data("webauthn.get", options)
        response = {
            "clientDataJSON": b64(client_data),
            "authenticatorData": b64(data),
            "signature": b64(credential.sign(data + hashlib.sha256(client_data).digest())),
            "userHandle": b64(credential.user_handle),
        }
        return _credential(credential, response)

    def copy(self) -> Browser:
        """A thief's, with copies of all keys."""
        stolen = [Credential(one.id, one.key, one.rp_id, one.user_handle, one.count) for one in self.kept]
        return Browser(self.origin, self.flags, self.counts, self.algorithm, deepcopy(self.client), self.rp_id, stolen)

    def _client_data(self, what: str, options: dict[str, Any]) -> bytes:
        told = {"type": what, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(told | self.client).encode()

    def _authenticator_data(self, credential: Credential, more: int = 0) -> bytes:
        rp_id = self.rp_id or credential.rp_id
        flags = (self.flags | more).to_bytes(1)
        return hashlib.sha256(rp_id.encode()).digest() + flags + credential.count.to_bytes(4)


def _credential(credential: Credential, response: dict[str, Any]) -> dict[str, Any]:
    """With what browsers write beside it."""
    return {
        "id": b64(credential.id),
        "rawId": b64(credential.id),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": response,
    }
