"""``up --temporal``: a Temporal server of the user's own, also behind TLS, client certificates and API keys."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.testing import WorkflowEnvironment

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack, node_id
from tests.fixtures.tls_temporal import FrontFiles, running

ECHO = "name: x\nsteps:\n  - {{name: a, container: {{image: '{image}', commands: ['{command}']}}}}\n"
REGISTER = "RegisterNamespace"


@pytest.fixture
def fresh(tmp_path: Path, test_image: str) -> Iterator[Stack]:
    made = Stack(tmp_path / "state", test_image)
    made.node = node_id("external")
    yield made
    made.destroy()


@pytest.fixture
def address(temporal_server: WorkflowEnvironment) -> str:
    return temporal_server.client.service_client.config.target_host


@pytest.fixture
def files(tmp_path: Path) -> FrontFiles:
    (tmp_path / "front").mkdir()
    return FrontFiles(tmp_path / "front")


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"external-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    return name


def test_up_on_an_external_temporal(fresh: Stack, address: str) -> None:
    fresh.up("--temporal", address)
    found = fresh.status()["temporal"]
    assert found == {"pid": None, "address": address, "health": "ok", "external": True}
    run_id = fresh.submit(ECHO.format(image=fresh.image, command="echo outside"))
    assert fresh.until_ended(run_id)["state"] == "succeeded"
    fresh.until(lambda: "outside" in fresh.log(run_id, "a"))


async def test_up_behind_tls_a_client_certificate_and_an_api_key(
    fresh: Stack,
    address: str,
    files: FrontFiles,
    namespace: str,
    temporal_server: WorkflowEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And without the right to add search attributes, as on Temporal Cloud."""
    for name, value in (files.environment() | files.client()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GAMEKEEPER_TEMPORAL_RETENTION_DAYS", "3")
    no_right = ["AddSearchAttributes", "ListSearchAttributes"]
    with running(files.front(address, roots=files.roots, refused=no_right)) as front, ExitStack() as taken:
        fresh._choose_ports(StateDir(fresh.state_dir))
        ports = StateDir(fresh.state_dir).load().ports
        assert ports is not None
        for port in (ports.temporal, ports.temporal_ui):  # nothing of ours listens there this time
            taken.enter_context(socket.create_server(("127.0.0.1", port)))
        fresh.up("--temporal", front)
        run_id = fresh.submit(ECHO.format(image=fresh.image, command="echo inside"))
        assert fresh.until_ended(run_id)["state"] == "succeeded"
        run_id = fresh.submit(ECHO.format(image=fresh.image, command="sleep 1000"))
        fresh.until(lambda: fresh.step(run_id, "a")["state"] == "running")
        fresh.command("runs", "cancel", run_id)
        assert fresh.until_ended(run_id)["state"] == "canceled"
        given = psutil.Process(fresh.pid("agent")).environ()
        assert not [name for name in given if name.startswith("TEMPORAL_") and name != "TEMPORAL_NAMESPACE"]
        fresh.command("down")
    asked = DescribeNamespaceRequest(namespace=namespace)
    found = await temporal_server.client.workflow_service.describe_namespace(asked)
    assert found.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=3)


def refusal(fresh: Stack, address: str) -> str:
    """The words of an ``up`` that fails, in one line. Each process tells its trouble once, and no insides."""
    fresh._choose_ports(StateDir(fresh.state_dir))
    done = fresh.command("up", "--detach", "--node", fresh.node, "--temporal", address, check=False)
    assert done.returncode == 3, done
    assert "Traceback" not in fresh.tails()
    assert fresh.status()["supervisor"]["health"] == "down"
    log = StateDir(fresh.state_dir).process_logs / "api.log"
    told = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    assert len([line for line in told if line["level"] == "error"]) <= 1, told
    said = " ".join(done.stderr.split())
    assert len(said) < 500, said
    return said


@pytest.mark.parametrize(
    ("variables", "front", "message"),
    [
        ({"TEMPORAL_API_KEY": "wrong"}, {}, "refuses our API key: invalid API key"),
        ({"TEMPORAL_TLS_SERVER_NAME": "other"}, {}, "is for gamekeeper, temporal.test and not for other"),
        ({"TEMPORAL_TLS": "false"}, {}, "it may speak TLS alone: set TEMPORAL_TLS=true"),
        ({}, {"age": timedelta(days=60)}, "shows a certificate that has run out"),
        ({}, {"refused": [REGISTER]}, "temporal operator namespace create --address"),
    ],
)
def test_a_refusal_is_one_error_with_what_to_do(
    fresh: Stack,
    address: str,
    files: FrontFiles,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    front: dict[str, object],
    message: str,
) -> None:
    for name, value in files.environment(**variables).items():
        monkeypatch.setenv(name, value)
    with running(files.front(address, **front)) as found:  # type: ignore[arg-type]
        assert message in refusal(fresh, found)


def test_a_server_that_is_not_there_and_another_ca(
    fresh: Stack, address: str, files: FrontFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Temporal at 127.0.0.1:1 does not answer: Connection refused" in refusal(fresh, "127.0.0.1:1")
    (tmp_path / "others").mkdir()
    for name, value in FrontFiles(tmp_path / "others").environment().items():
        monkeypatch.setenv(name, value)
    with running(files.front(address)) as found:
        assert "shows a certificate of another CA" in refusal(fresh, found)
    done = fresh.command("up", "--detach", "--temporal", "nowhere", check=False)
    assert done.returncode == 2
    assert '"nowhere" is no address of a server' in done.stderr
