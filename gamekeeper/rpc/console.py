"""Consoles between protobuf and the domain."""

from __future__ import annotations

from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import (
    MAX_HISTORY,
    ConsoleEnd,
    ConsoleHistory,
    ConsoleInput,
    ConsoleOutput,
    ConsoleRequest,
    ConsoleSize,
    ConsoleText,
    EndOfInput,
)
from gamekeeper.errors import InvalidError
from gamekeeper.rpc.convert import key_from_pb, key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb


def console_request_to_pb(request: ConsoleRequest) -> pb.OpenConsole:
    return pb.OpenConsole(
        console_id=request.id,
        key=key_to_pb(request.key),
        command=request.command,
        tty=request.tty,
        size=_size_to_pb(request.size),
        history=request.history,
    )


def console_request_from_pb(message: pb.OpenConsole) -> ConsoleRequest:
    return ConsoleRequest(
        message.console_id,
        key_from_pb(message.key),
        tuple(message.command),
        message.tty,
        _size_from_pb(message.size),
        min(message.history, MAX_HISTORY),
    )


def console_output_to_pb(output: ConsoleOutput) -> pb.ConsoleOutput:
    if isinstance(output, ConsoleText):
        if output.stream is LogStream.STDERR:
            return pb.ConsoleOutput(stderr=output.data)
        return pb.ConsoleOutput(stdout=output.data)
    if isinstance(output, ConsoleHistory):
        return pb.ConsoleOutput(history=pb.ConsoleHistory(since_ns=output.since_ns))
    if output.exit_code is None:
        return pb.ConsoleOutput(failed=output.failed or "it has no exit code")
    return pb.ConsoleOutput(exit_code=output.exit_code)


def console_output_from_pb(message: pb.ConsoleOutput) -> ConsoleOutput:
    """Not of ``taken``. Raises InvalidError for a message that says nothing, or its id again."""
    body = message.WhichOneof("body")
    if body == "stdout":
        return ConsoleText(LogStream.STDOUT, message.stdout)
    if body == "stderr":
        return ConsoleText(LogStream.STDERR, message.stderr)
    if body == "history":
        return ConsoleHistory(message.history.since_ns)
    if body == "exit_code":
        return ConsoleEnd(message.exit_code)
    if body == "failed":
        return ConsoleEnd(None, message.failed[:500])
    raise InvalidError("a console's message is output, an exit code, or why there is none")


def console_input_to_pb(given: ConsoleInput) -> pb.ConsoleInput:
    if isinstance(given, EndOfInput):
        return pb.ConsoleInput(end_of_input=True)
    if isinstance(given, ConsoleSize):
        return pb.ConsoleInput(size=_size_to_pb(given))
    return pb.ConsoleInput(stdin=given)


def console_input_from_pb(message: pb.ConsoleInput) -> ConsoleInput | None:
    """None for a message that only a newer server knows."""
    body = message.WhichOneof("body")
    if body == "stdin":
        return message.stdin
    if body == "size":
        return _size_from_pb(message.size)
    return EndOfInput() if body == "end_of_input" else None


def _size_to_pb(size: ConsoleSize) -> pb.ConsoleSize:
    return pb.ConsoleSize(columns=size.columns, rows=size.rows)


def _size_from_pb(message: pb.ConsoleSize) -> ConsoleSize:
    return ConsoleSize(min(message.columns, 10_000) or 80, min(message.rows, 10_000) or 24)
