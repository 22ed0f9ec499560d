"""The route by which Temporal's web UI and command show payloads in clear: Temporal calls it a codec server."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from temporalio.api.common.v1 import Payload

from api.dependencies import PayloadKeysDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.services.access.payload_key import PayloadKeyService
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import InvalidError

PREFIX = "/payload-codec"
MAX_PAYLOADS = 1000
router = APIRouter(prefix=PREFIX, tags=["payload keys"])
_EXAMPLE: JsonDict = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "Im9wZW4i"}]}


class CodecPayload(BaseModel):
    """A payload as protobuf's JSON writes it."""

    model_config = ConfigDict(extra="allow")

    metadata: dict[str, str] = Field(default_factory=dict, description="Values as base64")
    data: str = Field(default="", description="Base64")


class CodecPayloads(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    payloads: list[CodecPayload] = Field(
        default_factory=list, max_length=MAX_PAYLOADS, description="As protobuf's JSON writes them"
    )


@router.post("/decode", responses=problems(InvalidError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def decode_payloads(
    body: CodecPayloads,
    keys: PayloadKeysDep,
    keep: Annotated[
        bool, Query(alias="preserveStorageRefs", description="As the UI sends it; of no meaning here")
    ] = False,
) -> CodecPayloads:
    """Decrypts payloads of histories. What is not encrypted, or can't be decrypted, comes back as it is."""
    del keep
    return CodecPayloads(payloads=[CodecPayload(**_opened(keys, given)) for given in body.payloads])


def _opened(keys: PayloadKeyService, given: CodecPayload) -> dict[str, Any]:
    told = given.model_dump()
    try:
        payload = ParseDict(told, Payload(), ignore_unknown_fields=True)
    except ParseError as error:
        raise InvalidError("a payload is not as protobuf's JSON writes it: its bytes are base64") from error
    opened = keys.shown(payload)
    return told if opened is payload else dict(MessageToDict(opened))
