"""The four images of docker-compose.yml: built as a user builds them, and running the example on a local Temporal and
PostgreSQL, which stand for the two images that need a registry.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psycopg
import pytest

from gamekeeper.stack.ports import free_port
from gamekeeper.temporal.dev_server import command as temporal_command
from scripts.base_image import ensure_base_image
from tests.fixtures.docker import TEST_IMAGE
from tests.fixtures.leftovers import remove_leftovers
from tests.fixtures.stack import node_id
from tests.hang import HANG_SECONDS

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
pytestmark = pytest.mark.xdist_group("images")  # they share what the module makes
PARTS = ("api", "control_worker", "gateway", "agent_worker")
NODE = node_id("boxed")
ENV = {"POSTGRES_PASSWORD": "x", "GAMEKEEPER_ADMIN_KEY": "y", "GAMEKEEPER_CA_PASSPHRASE": "z"}


def run(*command: str, timeout: float = 600, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return str(done.stdout)


def docker_with_buildkit() -> str:
    """A docker command that can build with secrets: one with buildx, or an older one with BuildKit inside."""
    for found in filter(None, [shutil.which("docker"), "/usr/bin/docker"]):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        buildx = subprocess.run([found, "buildx", "version"], capture_output=True, check=False).returncode == 0
        if buildx or "version 20." in version:
            return str(found)
    pytest.fail("no docker command with BuildKit: apt-get install docker.io, or docker-buildx")


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """The images by part, built on the base image that this machine has or makes."""
    base = ensure_base_image(docker.from_env())
    certificate = os.environ.get("SSL_CERT_FILE", "")
    secret = ["--secret", f"id=ca,src={certificate}"] if certificate and Path(certificate).exists() else []
    for part in PARTS:
        run(
            *(docker_with_buildkit(), "build", "--quiet", "--file", f"deploy/{part}.Dockerfile", *secret),
            *("--build-arg", f"BASE={base}", "--tag", f"gamekeeper/{part}:test", "."),
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )
    return {part: f"gamekeeper/{part}:test" for part in PARTS}


@pytest.fixture
def temporal_address(tmp_path: Path) -> Iterator[str]:
    port, output = free_port("127.0.0.1"), tmp_path / "temporal.out"
    command = temporal_command(
        ip="127.0.0.1", port=port, ui_port=free_port("127.0.0.1"), database=tmp_path / "temporal.db"
    )
    with output.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        yield f"127.0.0.1:{port}"
        assert process.poll() is None, f"Temporal ended by itself: {output.read_text()}"
        process.terminate()


class Containers:
    """The three as containers on the host's network, so that they reach the local servers."""

    def __init__(self, images: dict[str, str]) -> None:
        self.client = docker.from_env()
        self.images = images
        self.started: list[Any] = []
        self.certificates = self.client.volumes.create()  # of the gateway, written by the api

    def start(self, part: str, environment: dict[str, str], **options: Any) -> Any:
        container = self.client.containers.run(
            self.images[part], detach=True, network_mode="host", environment=environment, **options
        )
        self.started.append(container)
        return container

    def until_healthy(self, container: Any) -> None:
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            container.reload()
            if container.attrs["State"]["Health"]["Status"] == "healthy":
                return
            time.sleep(0.3)
        pytest.fail(f"{container.image.tags} is not healthy:\n{container.logs(tail=30).decode()}")

    def remove(self) -> None:
        for container in self.started:
            container.remove(force=True, v=True)
        self.certificates.remove(force=True)
        remove_leftovers(NODE)
        self.client.close()


@pytest.fixture
def containers(images: dict[str, str]) -> Iterator[Containers]:
    made = Containers(images)
    yield made
    made.remove()


class Deployment:
    """The control plane of the Compose file in containers, on ports of its own."""

    def __init__(self, containers: Containers, postgres_server: str, temporal_address: str) -> None:
        self._containers = containers
        self.key = secrets.token_hex(32)
        self.rest, self._link, self._gateway = (free_port("127.0.0.1") for _ in range(3))
        name = f"images{secrets.token_hex(4)}"
        with psycopg.connect(f"postgresql://gk@{postgres_server}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        self._shared = {
            "GAMEKEEPER_DATABASE": f"postgresql+psycopg://gk@{postgres_server}/{name}",
            "GAMEKEEPER_TEMPORAL": temporal_address,
            "GAMEKEEPER_GATEWAY_PORT": str(self._gateway),
        }

    def start(self) -> dict[str, Any]:
        """The containers by part: the api first, which migrates the database and writes the gateway's certificate."""
        parts = {"api": self._api()}
        self._containers.until_healthy(parts["api"])
        parts["gateway"] = self._gateway_process()
        parts["control_worker"] = self._control_worker()
        return parts

    def _api(self) -> Any:
        own = {
            "GAMEKEEPER_ADMIN_KEY": self.key,
            "GAMEKEEPER_CA_PASSPHRASE": self.key,
            "GAMEKEEPER_REST_PORT": str(self.rest),
            "GAMEKEEPER_GRPC_PORT": str(self._link),
            "GAMEKEEPER_LOGS_DIR": "/data/logs",
            "GAMEKEEPER_CANCEL_IS_PUSHED": "1",
            "GAMEKEEPER_GATEWAY_CERTIFICATE_DIR": "/certificates",
            "GAMEKEEPER_STEPS_CERTIFICATE_DIR": "/certificates",
            "GAMEKEEPER_PAYLOAD_KEYS": "/certificates/payloads.key",
        }
        volumes = [f"{self._containers.certificates.name}:/certificates"]
        return self._containers.start("api", self._shared | own, volumes=volumes)

    def _gateway_process(self) -> Any:
        own = {
            "GAMEKEEPER_GATEWAY_CERTIFICATE": "/certificates/server.pem",
            "GAMEKEEPER_GATEWAY_KEY": "/certificates/server.key",
            "GAMEKEEPER_GATEWAY_ROOTS": "/certificates/roots.pem",
            "GAMEKEEPER_PAYLOAD_KEYS": "/certificates/payloads.key",
        }
        volumes = [f"{self._containers.certificates.name}:/certificates:ro"]
        return self._containers.start("gateway", self._shared | own, volumes=volumes)

    def _control_worker(self) -> Any:
        own = {
            "GAMEKEEPER_STEPS_CERTIFICATE": "/certificates/steps.pem",
            "GAMEKEEPER_STEPS_KEY": "/certificates/steps.key",
            "GAMEKEEPER_PAYLOAD_KEYS": "/certificates/payloads.key",
        }
        volumes = [f"{self._containers.certificates.name}:/certificates:ro"]
        return self._containers.start("control_worker", self._shared | own, volumes=volumes)

    def gamekeeper(self, *arguments: str) -> str:
        command = str(Path(sys.executable).parent / "gamekeeper")
        return run(command, "--server", f"http://127.0.0.1:{self.rest}", "--api-key", self.key, *arguments)


@pytest.mark.timeout(600)
def test_the_images_run_the_example(
    containers: Containers, postgres_server: str, temporal_address: str, test_image: str
) -> None:
    from demo import IMAGE, ensure_image, free_udp_port  # type: ignore[import-not-found]

    ensure_image(containers.client)
    deployment = Deployment(containers, postgres_server, temporal_address)
    parts = deployment.start()
    deployment.gamekeeper("node", "add", NODE)
    token = json.loads(deployment.gamekeeper("node", "enrol", NODE, "--json"))["token"]
    parts["agent"] = containers.start(
        "agent_worker",
        {
            "GAMEKEEPER_AGENT_SERVER": f"127.0.0.1:{deployment.rest}",
            "GAMEKEEPER_AGENT_TOKEN": token,
            "GAMEKEEPER_AGENT_STATE_DIR": "/data",
        },
        volumes=["/var/run/docker.sock:/var/run/docker.sock"],
        **as_in_compose("cap_add", "security_opt", pid_mode="pid"),
    )
    containers.until_healthy(parts["agent"])
    assert_host_folder_is_mounted(deployment)
    output = deployment.gamekeeper(
        *("run", "examples/teeworlds/deploy.yaml", "--node", NODE, "--follow"),
        *("--arg", f"image={IMAGE}", "--arg", f"port={free_udp_port()}"),
    )
    assert "'Gamekeeper arena' answers at arena:8303/udp" in output
    for part, container in parts.items():
        user = "root" if part == "agent" else "gamekeeper"
        assert container.exec_run(["id", "-un"]).output.decode().strip() == user
        mounts = [mount["Destination"] for mount in container.attrs["Mounts"]]
        assert ("/var/run/docker.sock" in mounts) is (part == "agent")


def as_in_compose(*keys: str, **spelled: str) -> dict[str, Any]:
    """Things that the Compose file gives the agent, in the words of Docker's library."""
    import yaml

    given = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["agent_worker"]
    return {key: given[key] for key in keys} | {key: given[name] for key, name in spelled.items()}


def assert_host_folder_is_mounted(deployment: Deployment) -> None:
    """A folder of the machine, though the agent's own container has none of it; and no link."""
    folder = Path("/srv") / NODE
    (folder / "d").mkdir(parents=True)
    try:
        (folder / "d" / "word").write_text("of the machine")
        (folder / "link").symlink_to("/etc")
        step = {"name": "read", "node": NODE, "container": {"image": TEST_IMAGE, "command": ["cat", "/d/word"]}}
        for source, expected in ((f"{folder}/d", "of the machine"), (f"{folder}/link", "is a link")):
            container = step["container"] | {"volumes": [f"{source}:/d"]}  # type: ignore[operator]
            pipeline = {"name": "folder", "steps": [step | {"container": container}]}
            (folder / "p.yaml").write_text(json.dumps(pipeline))
            command = str(Path(sys.executable).parent / "gamekeeper")
            address = ["--server", f"http://127.0.0.1:{deployment.rest}", "--api-key", deployment.key]
            follow = [command, *address, "run", str(folder / "p.yaml"), "--follow"]
            done = subprocess.run(follow, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
            assert expected in done.stdout + done.stderr
    finally:
        shutil.rmtree(folder)


def test_compose_file_is_valid_and_asks_for_its_secrets() -> None:
    run("docker-compose", "config", "-q", env={**os.environ, **ENV})
    for missing in ENV:
        environment = {key: value for key, value in ENV.items() if key != missing}
        done = subprocess.run(
            ["docker-compose", "config", "-q"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert missing in done.stderr


def test_compose_publishes_what_a_second_machine_needs_and_no_more() -> None:
    import yaml

    password = "p@ss:w/rd%20#?$'\""
    given = ENV | {"GAMEKEEPER_BIND": "192.0.2.1", "POSTGRES_PASSWORD": password}
    services = yaml.safe_load(run("docker-compose", "config", env={**os.environ, **given}))["services"]
    published = {port for service in services.values() for port in service.get("ports", [])}
    open_ports = {port for port in published if not port.startswith("127.0.0.1:")}
    assert open_ports == {f"192.0.2.1:{port}:{port}/tcp" for port in (7380, 7381, 7382)}
    assert services["agent_worker"]["environment"]["GAMEKEEPER_AGENT_SERVER"] == "https://192.0.2.1:7380"
    for part in ("api", "control_worker", "gateway"):
        environment = services[part]["environment"]
        assert environment["GAMEKEEPER_DATABASE_PASSWORD"].replace("$$", "$") == password
        assert ":" not in environment["GAMEKEEPER_DATABASE"].partition("://")[2], "the URL holds no password"
    second = run(
        *("docker-compose", "-f", "deploy/agent/compose.yaml", "config"),
        env={**os.environ, "GAMEKEEPER_AGENT_SERVER": "192.0.2.1:7380", "GAMEKEEPER_AGENT_TOKEN": "gkj_a.b"},
    )
    assert "GAMEKEEPER_AGENT_TOKEN: gkj_a.b" in second


def test_only_the_agent_is_given_the_docker_socket() -> None:
    import yaml

    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    with_socket = [name for name, service in services.items() if "docker.sock" in str(service.get("volumes", ""))]
    assert with_socket == ["agent_worker"]
    assert {name for name, service in services.items() if "build" in service} == set(PARTS)
