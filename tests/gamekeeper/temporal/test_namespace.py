"""The namespace of our work on a real server: made where it is not there, and left as it is where it is."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from gamekeeper.errors import InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.temporal.client import connect
from gamekeeper.temporal.namespace import ensure_namespace, wait_for_namespace
from gamekeeper.temporal.search_attributes import ASK_AGAIN_SECONDS, SearchAttributes
from tests.fixtures.tls_temporal import FrontFiles, serve

Connect = Callable[..., Coroutine[Any, Any, Client]]


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"made-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    return name


@pytest.fixture
async def through_front(
    temporal_server: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Connect]:
    """Connects through a front that refuses some methods."""
    files, servers = FrontFiles(tmp_path), []

    async def start(*refused: str) -> Client:
        target = temporal_server.client.service_client.config.target_host
        server, port = serve(files.front(target, refused=list(refused)))
        await server.start()
        servers.append(server)
        for name, value in files.environment().items():
            monkeypatch.setenv(name, value)
        return await connect(f"127.0.0.1:{port}")

    yield start
    for server in servers:
        await server.stop(None)


async def days_of(client: Client) -> int:
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return int(found.config.workflow_execution_retention_ttl.ToTimedelta() / timedelta(days=1))


async def test_one_that_is_not_there_is_made_and_one_that_is_there_is_left(
    temporal_server: WorkflowEnvironment, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = await connect(temporal_server.client.service_client.config.target_host)
    with pytest.raises(UnavailableError, match=f"has no namespace {namespace}"):
        await wait_for_namespace(client, seconds=0)
    await ensure_namespace(client, 5)
    assert await days_of(client) == 5
    assert await client.count_workflows() is not None, "calls pass at once"
    await ensure_namespace(client, 9)
    assert await days_of(client) == 5
    assert [record.getMessage() for record in caplog.records if "left as it is" in record.getMessage()] == [
        f"the namespace {namespace} keeps histories for 5 days, not for the 9 of GAMEKEEPER_TEMPORAL_RETENTION_DAYS; "
        "it is left as it is"
    ]


async def test_a_name_that_is_no_name(temporal_server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "a" * 2000)
    client = await connect(temporal_server.client.service_client.config.target_host)
    with pytest.raises(InvalidError, match="check TEMPORAL_NAMESPACE"):
        await ensure_namespace(client, 7)


async def test_without_the_right_to_make_it_the_error_has_the_command(through_front: Connect, namespace: str) -> None:
    client = await through_front("RegisterNamespace")
    address = client.service_client.config.target_host
    command = f"temporal operator namespace create --address {address} --namespace {namespace} --retention 7d"
    with pytest.raises(InvalidError, match=command):
        await ensure_namespace(client, 7)


async def test_without_the_right_to_see_it_the_error_names_the_key(through_front: Connect, namespace: str) -> None:
    client = await through_front("DescribeNamespace", "DescribeTaskQueue")
    for waiting in (ensure_namespace(client, 7), wait_for_namespace(client)):
        with pytest.raises(UnauthenticatedError, match=f"into the namespace {namespace}: .*TEMPORAL_API_KEY"):
            await waiting


@pytest.mark.parametrize(
    "refused", [["AddSearchAttributes"], ["AddSearchAttributes", "ListSearchAttributes"], ["ListSearchAttributes"]]
)
async def test_search_attributes_that_we_may_not_add_are_done_without(
    temporal_server: WorkflowEnvironment,
    through_front: Connect,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
    refused: list[str],
) -> None:
    direct = await connect(temporal_server.client.service_client.config.target_host)
    await ensure_namespace(direct, 1)
    now = 0.0
    attributes = SearchAttributes(await through_front(*refused), lambda: now)
    await attributes.ensure()
    told = [record.getMessage() for record in caplog.records if "can't be searched for" in record.getMessage()]
    if "AddSearchAttributes" not in refused:
        assert (await attributes.are_there(), told) == (True, [])
        return
    assert not await attributes.are_there()
    assert len(told) == 1
    assert f"search-attribute create --namespace {namespace} --type KeywordList --name GamekeeperNodes" in told[0]
    await SearchAttributes(direct).ensure()
    assert not await attributes.are_there(), "an answer is good for a minute"
    now = ASK_AGAIN_SECONDS
    assert await attributes.are_there()
