"""Noise on the gateway: calls of Temporal's protocol with a node's certificate, sound, spoiled and of any method,
frames of HTTP/2 that no library sends, and calls without a certificate.

Behind it is a real Temporal server. An answer of UNKNOWN or INTERNAL is a fault, and so is a stranger's call that is
answered, an unforeseen error in the log, or a node that did nothing wrong and is not answered.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import service_pb2
from temporalio.testing import WorkflowEnvironment

from fuzz.messages import Spoiler
from fuzz.noise import Noise, watched_log
from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.temporal.dev_server import dynamic_config_args, find_binary
from gateway.rules import RULES, SERVICE, Rule
from gateway.tokens import Caller, Kind, Seal, ensure_secret
from tests.fixtures.gateway import Certificates, Gated, NodeFiles, gated
from tests.hang import HANG_SECONDS

AT_ONCE = 4
ANSWER_SECONDS = 0.5  # for a poll, which waits for a task
NO_LIMIT = 1e9
FAULTS = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
METHODS: list[MethodDescriptor] = list(service_pb2.DESCRIPTOR.services_by_name["WorkflowService"].methods)
TABLE = [(path, rule) for path, rule in sorted(RULES.items())]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES, MOST_FRAMES, MOST_BYTES = 12, 20, 400  # kinds of frames; of one connection; of one frame
INFO = f"/{SERVICE}/GetSystemInfo"


class Noisy:
    """One node; its calls and their order come of the seed."""

    def __init__(self, gate: Gated, number: int, seed: int, noise: Noise) -> None:
        self._node_id = f"noisy-{number}"
        self._gate, self._noise = gate, noise
        self._random = Random(f"{seed}-{number}")
        self._spoiler = Spoiler(self._random)
        self._seal = Seal(ensure_secret(gate.certificates.folder / "gateway.secret"))
        self._files = gate.admit(self._node_id)
        # Not asyncio's: its calls, refused while they still send, end with an INTERNAL that no server has sent.
        self._channel = _channel(self._files, gate.address)
        self._stranger = _channel(NodeFiles(b"", b"", self._files.roots), gate.address)

    async def make(self, count: int) -> None:
        for _ in range(count):
            if self._noise.is_enough:
                break
            self._noise.messages += 1
            choice = self._random.random()
            if choice < 0.03:
                await self._frames()
            elif choice < 0.06:
                await self._as_stranger()
            else:
                await self._call()
        self._channel.close()
        self._stranger.close()

    async def _call(self) -> None:
        path, raw = self._request()
        code, details = await asyncio.to_thread(_answer, self._channel, path, raw)
        self._noise.count(code.name)
        if code in FAULTS:
            self._noise.faults.append(f"{path} answers {code.name}: {details[:200]} to {raw.hex()[:400]}")

    async def _as_stranger(self) -> None:
        path, raw = self._request()
        code, details = await asyncio.to_thread(_answer, self._stranger, path, raw)
        self._noise.count(f"stranger {code.name}")
        if code is not grpc.StatusCode.UNAVAILABLE:
            self._noise.faults.append(f"{path} answers a stranger with {code.name}: {details[:200]}")

    def _request(self) -> tuple[str, bytes]:
        if self._random.random() < 0.2:
            method = self._random.choice(METHODS)
            path = (
                f"/{SERVICE}/{method.name}" if self._random.random() < 0.8 else self._random.choice(("/", "/a", "/a/b"))
            )
            return path, self._spoiler.message(method.input_type, is_sound=False)
        path, rule = self._random.choice(TABLE)
        if self._random.random() < 0.1:
            return path, self._spoiler.message(_kind(rule), is_sound=False)
        made = self._meant(rule)
        return path, made if self._random.random() < 0.6 else self._spoiler.spoiled(made)

    def _meant(self, rule: Rule) -> bytes:
        """A request that the rules let through for the most part, so that Temporal itself hears of odd values."""
        made: Any = self._spoiler.filled(_kind(rule))
        for field, _ in made.ListFields():
            if field.name not in rule.passes and self._random.random() < 0.97:
                made.ClearField(field.name)
        if "namespace" in rule.passes:
            made.namespace = "default"
        if "task_queue" in rule.passes and self._random.random() < 0.9:
            self._name_queue(made)
        if "task_token" in rule.passes and self._random.random() < 0.9:
            inner = self._random.randbytes(self._random.randint(0, 60))
            made.task_token = self._seal.wrap(Kind.ACTIVITY, Caller(self._node_id, 1), inner)
        return made.SerializeToString()  # type: ignore[no-any-return]

    def _name_queue(self, made: Any) -> None:
        name = f"node:{self._node_id}"
        if isinstance(made.task_queue, str):
            made.task_queue = name
        else:
            made.task_queue.CopyFrom(TaskQueue(name=name, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL))

    async def _frames(self) -> None:
        """A connection with the node's certificate, or with none, that speaks HTTP/2 badly."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._files.roots.decode())
        if self._random.random() < 0.8:
            folder = self._gate.certificates.folder / self._node_id
            folder.mkdir(exist_ok=True)
            (folder / "pair.pem").write_bytes(self._files.key + self._files.chain)
            context.load_cert_chain(folder / "pair.pem")
        context.set_alpn_protocols(["h2"])
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(HANG_SECONDS):
                await self._speak(context)
        self._noise.count("frames")

    async def _speak(self, context: ssl.SSLContext) -> None:
        port = self._gate.process.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=SERVER_NAME)
        try:
            begin = PREFACE + frame(4, 0, 0, b"") if self._random.random() < 0.9 else self._random.randbytes(30)
            frames = [self._frame() for _ in range(self._random.randint(1, MOST_FRAMES))]
            writer.write(begin + b"".join(frames))
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    while await reader.read(65_536):
                        pass
        finally:
            writer.transport.abort()

    def _frame(self) -> bytes:
        body = self._random.randbytes(self._random.randint(0, MOST_BYTES))
        kind, flags = self._random.randint(0, FRAMES), self._random.randint(0, 255)
        stream = self._random.choice((0, 1, 1, 2, 3, 2**31 - 1))
        return frame(kind, flags, stream, body)


def _kind(rule: Rule) -> Descriptor:
    kind: Any = rule.request.DESCRIPTOR
    return kind  # type: ignore[no-any-return]


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def _channel(files: NodeFiles, address: str) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(files.roots, files.key or None, files.chain or None)
    options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(address, credentials, options=options)


def _answer(channel: grpc.Channel, path: str, raw: bytes) -> tuple[grpc.StatusCode, str]:
    is_poll = path in RULES and RULES[path].is_poll
    try:
        ask: Any = channel.unary_unary(path)
        ask(raw, timeout=ANSWER_SECONDS if is_poll else HANG_SECONDS)
    except grpc.RpcError as error:
        told: Any = error
        return told.code(), str(told.details())
    return grpc.StatusCode.OK, ""


async def make_noise(count: int, seed: int) -> Noise:
    """``count`` calls and connections of several nodes, beside one that does nothing wrong."""
    noise = Noise()
    with tempfile.TemporaryDirectory(prefix="gk-fuzz-", ignore_cleanup_errors=True) as name:
        temporal = await WorkflowEnvironment.start_local(
            dev_server_existing_path=find_binary(),
            dev_server_extra_args=dynamic_config_args(),
            dev_server_log_level="never",
        )
        try:
            address = temporal.client.service_client.config.target_host
            limits = {
                "gateway_calls": 10**6,
                "gateway_calls_per_second": NO_LIMIT,
                "gateway_bytes_per_second": NO_LIMIT,
            }
            async with gated(Certificates(Path(name)), address, **limits) as gate, watched_log(noise):
                noisy = [Noisy(gate, number, seed, noise) for number in range(AT_ONCE)]
                await asyncio.gather(*(one.make(max(1, count // AT_ONCE)) for one in noisy))
                await _ask_quietly(gate, noise)
        finally:
            await temporal.shutdown()
    return noise


async def _ask_quietly(gate: Gated, noise: Noise) -> None:
    quiet = _channel(gate.admit("quiet"), gate.address)
    code, details = await asyncio.to_thread(_answer, quiet, INFO, b"")
    if code is not grpc.StatusCode.OK:
        noise.faults.append(f"a node that did nothing wrong is answered with {code.name}: {details}")
    quiet.close()
