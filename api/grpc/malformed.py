"""Bytes that are no message are the sender's fault and told so; gRPC itself would call them INTERNAL, our fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from gamekeeper.errors import InvalidError

Handler = Any  # a grpc.RpcMethodHandler or None: its type takes parameters in the stubs alone
_TEXT = "the message can't be read: it is not what this call takes"


class _Malformed:
    """Stands for a message that could not be decoded, on its way to where a status can be given."""


class MalformedMessages(grpc.aio.ServerInterceptor):
    """Answers INVALID_ARGUMENT to bytes that do not decode, in calls of all four kinds to ``service``."""

    def __init__(self, service: str) -> None:
        self._prefix = f"/{service}/"

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        found: Any = await continuation(handler_call_details)
        if found is None or not handler_call_details.method.startswith(self._prefix):
            return found  # no such method, which gRPC calls UNIMPLEMENTED, or a library's own service
        coding = {
            "request_deserializer": _tolerant(found.request_deserializer),
            "response_serializer": found.response_serializer,
        }
        if found.stream_stream:
            return grpc.stream_stream_rpc_method_handler(_checked_duplex(found.stream_stream), **coding)
        if found.stream_unary:
            return grpc.stream_unary_rpc_method_handler(_checked_stream(found.stream_unary), **coding)
        if found.unary_stream:
            return grpc.unary_stream_rpc_method_handler(_checked_generator(found.unary_stream), **coding)
        return grpc.unary_unary_rpc_method_handler(_checked(found.unary_unary), **coding)


def _tolerant(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode_or_mark(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return _Malformed()

    return decode_or_mark


def _checked(method: Any) -> Any:
    async def call(request: Any, context: Any) -> Any:
        if isinstance(request, _Malformed):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _TEXT)
        return await method(request, context)

    return call


def _checked_generator(method: Any) -> Any:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        if isinstance(request, _Malformed):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _TEXT)
        async for answer in method(request, context):
            yield answer

    return call


def _checked_stream(method: Any) -> Any:
    async def call(messages: AsyncIterator[Any], context: Any) -> Any:
        return await method(_readable(messages), context)

    return call


def _checked_duplex(method: Any) -> Any:
    async def call(messages: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for answer in method(_readable(messages), context):
            yield answer

    return call


async def _readable(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The servicer meets the fault where it reads, and translates it like its own."""
    async for message in messages:
        if isinstance(message, _Malformed):
            raise InvalidError(_TEXT)
        yield message
