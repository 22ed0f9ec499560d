"""The ways in which a connection to Temporal is refused: each is one error, in plain words, with what to do."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from gamekeeper.errors import GamekeeperError, InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.temporal import client as client_module
from gamekeeper.temporal.client import GatewayTls, connect
from tests.fixtures.tls_temporal import NAME, Front, FrontFiles, serve

NOBODY = "127.0.0.1:1"
SOON = timedelta(seconds=0)
Serve = Callable[[Front], Coroutine[Any, Any, str]]


@pytest.fixture
def files(tmp_path: Path) -> FrontFiles:
    return FrontFiles(tmp_path)


@pytest.fixture
def others(tmp_path: Path) -> FrontFiles:
    (tmp_path / "others").mkdir()
    return FrontFiles(tmp_path / "others")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)


@pytest.fixture
async def served() -> AsyncIterator[Serve]:
    servers: list[grpc.aio.Server] = []

    async def start(front: Front) -> str:
        server, port = serve(front)
        await server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        await server.stop(None)


async def error_of(monkeypatch: pytest.MonkeyPatch, address: str, environment: dict[str, str]) -> GamekeeperError:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GamekeeperError) as raised:
        await connect(address, wait=SOON)
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("variables", "kind", "message"),
    [
        ({"TEMPORAL_API_KEY": "wrong"}, UnauthenticatedError, "refuses our API key: invalid API key"),
        ({"TEMPORAL_TLS_SERVER_NAME": "another"}, InvalidError, f"is for gamekeeper, {NAME} and not for another;"),
        ({"TEMPORAL_TLS_SERVER_NAME": ""}, InvalidError, "check TEMPORAL_TLS_SERVER_NAME"),
        ({"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/nowhere"}, InvalidError, "/nowhere"),
        ({"TEMPORAL_TLS_CLIENT_CERT_PATH": "/dev/null"}, InvalidError, "client cert and private key"),
        ({"TEMPORAL_CONFIG_FILE": "/proc/version"}, InvalidError, "TEMPORAL_. can't be used"),
    ],
)
async def test_variables_that_are_wrong(
    files: FrontFiles,
    served: Serve,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    kind: type[GamekeeperError],
    message: str,
) -> None:
    address = await served(files.front(NOBODY))
    error = await error_of(monkeypatch, address, files.environment(**variables))
    assert type(error) is kind
    assert re.search(message, str(error)), error


async def test_a_certificate_of_another_ca(
    files: FrontFiles, others: FrontFiles, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = await error_of(monkeypatch, await served(files.front(NOBODY)), others.environment())
    assert isinstance(error, InvalidError)
    assert "shows a certificate of another CA" in str(error)


async def test_a_certificate_that_has_run_out(
    files: FrontFiles, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await served(files.front(NOBODY, age=timedelta(days=60)))
    error = await error_of(monkeypatch, address, files.environment())
    assert isinstance(error, InvalidError)
    assert "a certificate that has run out" in str(error)


async def test_tls_where_there_is_none_and_none_where_there_is(
    files: FrontFiles, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CLOSED_SECONDS", 0.0)
    error = await error_of(monkeypatch, await served(files.front(NOBODY)), {})
    assert "closes the connection; it may speak TLS alone: set TEMPORAL_TLS=true" in str(error)
    assert isinstance(error, InvalidError), "another try would end the same way"
    plain = grpc.aio.server()
    port = plain.add_insecure_port("127.0.0.1:0")
    await plain.start()
    error = await error_of(monkeypatch, f"127.0.0.1:{port}", files.environment())
    await plain.stop(None)
    assert isinstance(error, InvalidError)
    assert "speaks no TLS" in str(error)


async def test_a_client_certificate_that_is_not_given_or_another_cas(
    files: FrontFiles, others: FrontFiles, served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await served(files.front(NOBODY, roots=files.roots))
    error = await error_of(monkeypatch, address, files.environment())
    assert "it may want a client certificate" in str(error)
    error = await error_of(monkeypatch, address, files.environment(**others.client()))
    assert "client certificates of another CA" in str(error)


async def test_nobody_there_and_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not answer: Connection refused" in str(await error_of(monkeypatch, NOBODY, {}))
    monkeypatch.setattr(client_module, "ATTEMPT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await error_of(monkeypatch, f"127.0.0.1:{silent.getsockname()[1]}", {})
    assert isinstance(error, UnavailableError)
    assert "silence" in str(error)
    with pytest.raises(UnavailableError, match="does not answer: failed to lookup address"):
        await connect("nowhere.invalid:7233", wait=SOON)
    with pytest.raises(InvalidError, match="can't be called"):
        await connect("::::", wait=SOON)


async def test_a_node_at_its_gateway(files: FrontFiles, others: FrontFiles, served: Serve) -> None:
    """It reads what the gateway says of it, and nothing about keys of Temporal; it may always ask again."""
    certificate = {name: Path(path).read_text() for name, path in files.client().items()}
    key, chain = certificate["TEMPORAL_TLS_CLIENT_KEY_PATH"], certificate["TEMPORAL_TLS_CLIENT_CERT_PATH"]
    address = await served(files.front(NOBODY, roots=files.roots))
    roots = Path(files.roots).read_text()
    others_roots = Path(others.roots).read_text()
    others_chain = Path(others.client()["TEMPORAL_TLS_CLIENT_CERT_PATH"]).read_text()
    others_key = Path(others.client()["TEMPORAL_TLS_CLIENT_KEY_PATH"]).read_text()
    for tls, where, message in (
        (GatewayTls(key, chain, roots, NAME), address, "refuses this node: invalid API key"),
        (GatewayTls(key, chain, others_roots, NAME), address, "a certificate that this node does not take (UnknownIss"),
        (GatewayTls(others_key, others_chain, roots, NAME), address, "closes the connection; it may not take this"),
        (GatewayTls(key, chain, roots, NAME), NOBODY, "does not answer: Connection refused; is its port open"),
    ):
        with pytest.raises(UnavailableError) as raised:
            await connect(where, wait=SOON, gateway=tls)
        assert message in str(raised.value)
        assert "TEMPORAL_" not in str(raised.value)
