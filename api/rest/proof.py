"""The parts of a passkey that browsers bring, and the proof of who asks, for the bodies of several routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.rest.body import Body
from api.services.access.ceremonies import MAX_TICKET, from_base64url
from api.services.access.passkey_sign_in import Options
from api.services.access.passkey_use import Answered
from api.services.access.proving import OwnProof
from gamekeeper.domain.access.password import MAX_BYTES

MAX_CODE = 64
MAX_CREDENTIAL_ID, MAX_PART = 1364, 8192  # of base64url; the first are the 1,023 bytes that browsers allow


def _base64url(text: str) -> str:
    from_base64url(text)
    return text


def _bytes(most: int, meaning: str, **more: Any) -> Any:
    return Field(max_length=most, pattern=r"^[A-Za-z0-9_-]*$", description=meaning, **more)


Base64Url = Annotated[str, AfterValidator(_base64url)]
Ticket = Annotated[
    str, Field(max_length=MAX_TICKET, pattern=r"^[A-Za-z0-9._-]*$", description="`ticket` of the options")
]


class _Credential(Body):
    """As ``toJSON()`` of a browser's ``PublicKeyCredential`` writes it; what is not used here is passed over."""

    model_config = ConfigDict(extra="ignore")

    id: Base64Url = _bytes(MAX_CREDENTIAL_ID, "Id of the credential, as base64url")
    raw_id: Base64Url = _bytes(MAX_CREDENTIAL_ID, "The same", alias="rawId")
    type: Literal["public-key"] = Field(description="`public-key`")


class Assertion(Body):
    model_config = ConfigDict(extra="ignore")

    client_data: Base64Url = _bytes(MAX_PART, "What the browser says of the page", alias="clientDataJSON")
    authenticator_data: Base64Url = _bytes(MAX_PART, "What the authenticator says", alias="authenticatorData")
    signature: Base64Url = _bytes(MAX_PART, "The passkey's signature of both", alias="signature")
    user_handle: Base64Url | None = _bytes(
        128, "The user whose passkey it is, as the authenticator knows it", alias="userHandle", default=None
    )


class Attestation(Body):
    model_config = ConfigDict(extra="ignore")

    client_data: Base64Url = _bytes(MAX_PART, "What the browser says of the page", alias="clientDataJSON")
    attestation_object: Base64Url = _bytes(MAX_PART, "The new public key, as CBOR", alias="attestationObject")


class UsedCredential(_Credential):
    response: Assertion = Field(description="What the authenticator has signed")


class NewCredential(_Credential):
    response: Attestation = Field(description="What the authenticator has made")


_CREDENTIAL: dict[str, Any] = {"id": "q5ZP0w", "rawId": "q5ZP0w", "type": "public-key"}
EXAMPLE_OF_USE: dict[str, Any] = {
    "ticket": "mk-1f2e3d4c.ZGF0YQ",
    "credential": _CREDENTIAL
    | {"response": {"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA", "userHandle": "AAAA"}},
}
EXAMPLE_OF_NEW: dict[str, Any] = {
    "name": "phone",
    "ticket": "mk-1f2e3d4c.ZGF0YQ",
    "credential": _CREDENTIAL | {"response": {"clientDataJSON": "e30", "attestationObject": "AAAA"}},
}


class PasskeyAnswer(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE_OF_USE]})

    ticket: Ticket
    credential: UsedCredential = Field(description="The browser's answer, as its `toJSON()` writes it")

    def answered(self, bound_to: str) -> Answered:
        return Answered(self.ticket, self.credential.model_dump(by_alias=True, exclude_none=True), bound_to)


class OwnProofGiven(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"password": "four words of mine"}]})

    password: str = Field(default="", max_length=MAX_BYTES, description="The password of now")
    code: str = Field(
        default="", max_length=MAX_CODE, description="Beside it a code, or a recovery code, of an authenticator"
    )
    passkey: PasskeyAnswer | None = Field(default=None, description="Instead of both: an answer to `proof-options`")

    def proof(self, session_id: str) -> OwnProof:
        passkey = self.passkey.answered(session_id) if self.passkey is not None else None
        return OwnProof(self.password, self.code, passkey)


class PasskeyOptions(BaseModel):
    ticket: str = Field(description="Comes back beside the browser's answer, within 5 minutes")
    public_key: dict[str, Any] = Field(
        description="For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`"
    )

    @classmethod
    def of(cls, made: Options) -> PasskeyOptions:
        return cls(ticket=made.ticket, public_key=made.public_key)
