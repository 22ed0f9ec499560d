"""The gRPC server of the gateway: raw bytes in, raw bytes out, with the rules between.

A call passes in this order: its method is on the table, its certificate is good, its node is within its limits, its
request is within the rules. Only then Temporal hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import grpc

from gamekeeper.logging import get_logger
from gateway.admission import Admission
from gateway.limits import Limits
from gateway.payloads import UnreadableTaskError
from gateway.refusal import Reason, Refusal, shown
from gateway.rules import PAYLOADS, RULES, SERVICE, Rule, Rules
from gateway.telling import Telling
from gateway.tokens import Caller
from gateway.upstream import RawCall, Upstream

log = get_logger(__name__)

# Temporal answers a poll without a task after 60 s.
POLL_SECONDS = 120.0
CALL_SECONDS = 30.0
GIVE_BACK = f"/{SERVICE}/RespondActivityTaskFailed"
# What the SDK says of itself, and traces. Other headers could make Temporal believe in another caller.
FORWARDED = frozenset({"client-name", "client-version", "traceparent", "tracestate"})
# Temporal's word on the gateway's own credential. A node that heard it would doubt its certificate.
OURS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
OPTIONS = [
    ("grpc.max_receive_message_length", PAYLOADS),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 200),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_allowed_incoming_connections", 16_384),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A node that vanished must not keep a poll that then takes a task, which would be lost until its heartbeat timeout.
    # Its polls are gone within 7 s: before it is called offline (8 s), and so before it is back.
    ("grpc.keepalive_time_ms", 4_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class _Open:
    """One call that waits for Temporal."""

    def __init__(self, call: RawCall) -> None:
        self.call = call
        self.refusal: Refusal | None = None

    def end(self, refusal: Refusal) -> None:
        self.refusal = self.refusal or refusal
        self.call.cancel()


class Gateway(grpc.GenericRpcHandler):
    """Answers every method there is: by the table, or with a refusal."""

    def __init__(
        self, rules: Rules, admission: Admission, limits: Limits, upstream: Upstream, telling: Telling
    ) -> None:
        self._rules = rules
        self._admission = admission
        self._limits = limits
        self._upstream = upstream
        self._telling = telling

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        path = handler_call_details.method
        rule = RULES.get(path)
        if rule is None:
            return self._denied(path)

        async def handle(raw: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return await self._handle(path, rule, raw, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    def _denied(self, path: str) -> grpc.RpcMethodHandler[Any, Any]:
        """A stream, because those need not be read: what a refused call carries is never waited for."""

        async def deny(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            node_id = ""
            try:
                node_id = (await self._admission.caller(_auth(context))).node_id
                raise Refusal(Reason.METHOD, f"{shown(path)} is not for nodes")
            except Refusal as refusal:
                await self._refuse(context, node_id, path, refusal)
            raise AssertionError("unreachable")

        return grpc.stream_unary_rpc_method_handler(deny)

    async def _handle(
        self, path: str, rule: Rule, raw: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> bytes:
        node_id = ""
        try:
            caller = await self._admission.caller(_auth(context))
            node_id = caller.node_id
            with self._limits.opened(node_id, len(raw), is_poll=rule.is_poll):
                request = self._rules.forwarded(rule, raw, caller)
                del raw  # a poll waits for a minute
                self._telling.calls.labels(rule.name).inc()
                answer = await self._forward(path, rule, request, caller, context)
            return self._rules.returned(rule, answer, caller)
        except UnreadableTaskError as unreadable:
            await self._give_back(node_id, unreadable)
            return b""  # as a poll that ended without a task
        except Refusal as refusal:
            await self._refuse(context, node_id, path, refusal)
        except grpc.aio.AioRpcError as error:
            if error.code() in OURS:
                await self._refuse(context, node_id, path, _own_refusal(error))
            await context.abort(error.code(), error.details() or "", _passed_on(error.trailing_metadata()))
        raise AssertionError("unreachable")

    async def _forward(
        self,
        path: str,
        rule: Rule,
        request: bytes,
        caller: Caller,
        context: grpc.aio.ServicerContext[bytes, bytes],
    ) -> bytes:
        """Leaving it early, as when the agent hangs up, cancels the call to Temporal too."""
        longest = POLL_SECONDS if rule.is_poll else CALL_SECONDS
        left = context.time_remaining()
        seconds = longest if left is None else min(left, longest)
        metadata = [(key, value) for key, value in context.invocation_metadata() or () if key in FORWARDED]
        with self._upstream.call(path, request, metadata, seconds) as call:
            opened = _Open(call)
            with self._admission.opened(caller, opened):
                try:
                    return await call
                except asyncio.CancelledError:
                    if opened.refusal is not None:
                        raise opened.refusal from None
                    raise

    async def _give_back(self, node_id: str, unreadable: UnreadableTaskError) -> None:
        """Hands a task back that no node could begin. Where Temporal is away it waits for its heartbeat timeout."""
        self._telling.unreadable(node_id, unreadable)
        request = unreadable.answer(self._rules.namespace)
        with self._upstream.call(GIVE_BACK, request, (), CALL_SECONDS) as call:
            with suppress(grpc.aio.AioRpcError):
                await call

    async def _refuse(
        self, context: grpc.aio.ServicerContext[bytes, bytes], node_id: str, path: str, refusal: Refusal
    ) -> None:
        self._telling.refusal(node_id, path, refusal)
        await context.abort(refusal.status, str(refusal))


def _own_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    return Refusal(
        Reason.CREDENTIAL,
        f"Temporal refuses the gateway itself: {error.details()}",
        hint="check TEMPORAL_API_KEY and TEMPORAL_TLS_* of the gateway",
    )


def _auth(context: grpc.aio.ServicerContext[bytes, bytes]) -> Mapping[str, list[bytes]]:
    return context.auth_context()  # type: ignore[return-value]


def _passed_on(metadata: grpc.aio.Metadata) -> tuple[tuple[str, str | bytes], ...]:
    """The details of an error, and what Temporal says of its limits; gRPC writes its own headers itself."""
    return tuple(
        (key, value)
        for key, value in metadata
        if key == "grpc-status-details-bin" or not key.startswith((":", "grpc-", "content-"))
    )
