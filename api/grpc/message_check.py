"""Messages that are not taken: bytes that are none, and those that are larger than their call allows.

They are the sender's fault and told so. gRPC itself would call the first INTERNAL, our fault, and knows one size for
all calls. A message that is too large is not even parsed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from api.grpc.errors import STATUS
from gamekeeper.errors import InvalidError, TooLargeError

Handler = Any  # a grpc.RpcMethodHandler or None: its type takes parameters in the stubs alone
Told = Callable[[Any, str, TooLargeError], None]  # the context of the call, its name, and the refusal
Check = Callable[[Any, Any], Awaitable[None]]


class _Refused:
    """Stands for a message that is not taken, on its way to where a status can be given."""

    def __init__(self, error: InvalidError) -> None:
        self.error = error


class MessageCheck(grpc.aio.ServerInterceptor):
    """Refuses messages of calls of all four kinds to ``service``. ``sizes`` are the largest messages by call.
    ``told`` hears of those that are larger in unary calls; streams meet them where they read."""

    def __init__(self, service: str, sizes: Mapping[str, int], told: Told) -> None:
        self._prefix = f"/{service}/"
        self._sizes = sizes
        self._told = told

    async def _check(self, name: str, request: Any, context: Any) -> None:
        if not isinstance(request, _Refused):
            return
        if isinstance(request.error, TooLargeError):
            self._told(context, name, request.error)
        await context.abort(STATUS[request.error.kind], str(request.error))

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        found: Any = await continuation(handler_call_details)
        if found is None or not handler_call_details.method.startswith(self._prefix):
            return found  # no such method, which gRPC calls UNIMPLEMENTED, or a library's own service
        name = handler_call_details.method.removeprefix(self._prefix)
        coding = {
            "request_deserializer": _tolerant(name, found.request_deserializer, self._sizes[name]),
            "response_serializer": found.response_serializer,
        }
        check = partial(self._check, name)
        if found.stream_stream:
            return grpc.stream_stream_rpc_method_handler(_checked_duplex(found.stream_stream), **coding)
        if found.stream_unary:
            return grpc.stream_unary_rpc_method_handler(_checked_stream(found.stream_unary), **coding)
        if found.unary_stream:
            return grpc.unary_stream_rpc_method_handler(_checked_generator(found.unary_stream, check), **coding)
        return grpc.unary_unary_rpc_method_handler(_checked(found.unary_unary, check), **coding)


def _tolerant(name: str, decode: Callable[[bytes], Any], limit: int) -> Callable[[bytes], Any]:
    def decode_or_mark(data: bytes) -> Any:
        if len(data) > limit:
            return _Refused(TooLargeError(f"a message of {name} has {len(data):,} bytes, at most {limit:,} are taken"))
        try:
            return decode(data)
        except DecodeError:
            return _Refused(InvalidError("the message can't be read: it is not what this call takes"))

    return decode_or_mark


def _checked(method: Any, check: Check) -> Any:
    async def call(request: Any, context: Any) -> Any:
        await check(request, context)
        return await method(request, context)

    return call


def _checked_generator(method: Any, check: Check) -> Any:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        await check(request, context)
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
        if isinstance(message, _Refused):
            raise message.error
        yield message
