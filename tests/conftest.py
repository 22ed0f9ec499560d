"""Fixtures that all tests share: a real Temporal server, PostgreSQL and stack for each test process, and one Engine.

A part that can't be had fails the test that needs it, with what to do; nothing is skipped.
"""

from tests.fixtures.api import api
from tests.fixtures.bundle import agent_bundle
from tests.fixtures.database import database, database_url, migrated_postgres, migrated_sqlite, postgres_server
from tests.fixtures.docker import docker_engine, test_image
from tests.fixtures.gateway import certificates, gateway, gateways
from tests.fixtures.own_docker import own_docker
from tests.fixtures.raw_agent import raw
from tests.fixtures.refusing import refusing_api, refusing_on_postgresql, refusing_on_sqlite, shared_api
from tests.fixtures.registry import locked_registry, registry, silent_registry
from tests.fixtures.spaces import spaces
from tests.fixtures.stack import stack, stack_is_up
from tests.fixtures.temporal import temporal_client, temporal_server
from tests.order import pytest_collection_modifyitems, pytest_runtest_logreport, pytest_terminal_summary

__all__ = [
    "agent_bundle",
    "api",
    "certificates",
    "database",
    "database_url",
    "docker_engine",
    "gateway",
    "gateways",
    "locked_registry",
    "migrated_postgres",
    "migrated_sqlite",
    "own_docker",
    "postgres_server",
    "pytest_collection_modifyitems",
    "pytest_runtest_logreport",
    "pytest_terminal_summary",
    "raw",
    "refusing_api",
    "refusing_on_postgresql",
    "refusing_on_sqlite",
    "registry",
    "shared_api",
    "silent_registry",
    "spaces",
    "stack",
    "stack_is_up",
    "temporal_client",
    "temporal_server",
    "test_image",
]
