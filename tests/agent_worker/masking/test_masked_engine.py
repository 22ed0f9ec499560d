"""No secret value is in what the engine tells of a container, by whatever way it comes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from agent_worker.dummy_engine import DummyEngine
from agent_worker.masking.masked_engine import HEALTH_LOG, _MaskedEngine, masked_engine
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.domain.log.log import PART_BYTES, LogLine, LogStream
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleText
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.ports.container_engine import (
    ContainerEngine,
    ContainerInfo,
    EngineFaultError,
    NameTakenError,
    NewContainer,
    StartError,
)
from gamekeeper.ports.engine_console import EngineConsole
from tests.agent_worker.masking.writing import Writing
from tests.factories import make_console, make_new_container, make_owner

VALUE = "hunter2-hunter3"
OWNER = make_owner()
NAME = OWNER.key.container_name

# Methods by which nothing comes that a container wrote, or was given as an environment.
UNMASKED = {
    "ping", "version", "has_image", "pull", "prepare_outputs", "open_workspace", "wait", "stop", "signal",
    "never_restart", "ended_with_engine", "remove", "on_change", "on_event", "usage", "newest_start",
    "was_started_since", "sweep_consoles", "ensure_network", "ensure_group", "ensure_node_network",
    "remove_unused_groups", "release_host_folders", "ensure_own_volume", "remove_own_volumes", "ensure_volume",
    "list_run_resources", "remove_run_resources", "keeps_secrets",
    "read_logs",  # for the follower alone, which masks them
}  # fmt: skip


class TellingEngine(DummyEngine):
    """Says the value wherever an engine may quote it."""

    def __init__(self) -> None:
        super().__init__("node-1")
        self.error: Exception | None = None
        self.lines: list[LogLine] = []
        self.pieces = [b"it is hunter2", b"-hunter3", b"\n"]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    async def create(self, new: NewContainer) -> str:
        self._fail()
        return await super().create(new)

    async def start(self, container_id: str, secrets: Mapping[str, bytes] | None = None) -> None:
        self._fail()
        await super().start(container_id, secrets)

    async def type_in(self, container_id: str, data: bytes) -> None:
        self._fail()
        await super().type_in(container_id, data)

    async def last_log_lines(self, container_id: str, count: int) -> Sequence[LogLine]:
        return self.lines[-count:]

    async def open_console(self, container_id: str, request: ConsoleRequest) -> EngineConsole:  # type: ignore[override]
        self._fail()
        return Writing(self.pieces)

    async def look_in(self, container_id: str, request: ConsoleRequest) -> EngineConsole:  # type: ignore[override]
        return await self.open_console(container_id, request)


@pytest.fixture
def bare() -> TellingEngine:
    return TellingEngine()


@pytest.fixture
def secrets() -> SecretsOfContainers:
    return SecretsOfContainers()


@pytest.fixture
def engine(bare: TellingEngine, secrets: SecretsOfContainers) -> ContainerEngine:
    return masked_engine(bare, secrets)


def new(**environment: str) -> NewContainer:
    made = make_new_container(OWNER, environment=environment or {"DUMMY_SLEEP": "0"})
    return NewContainer(made.owner, made.spec, has_outputs=True, secrets=1)


async def told(console: EngineConsole) -> bytes:
    texts: list[ConsoleText] = []
    while (text := await console.read()) is not None:
        texts.append(text)
    await console.close()
    return b"".join(text.data for text in texts)


def test_every_method_is_masked_or_known_to_carry_nothing() -> None:
    """A new method of the engine has to be put on one side."""
    methods = {name for name, _ in inspect.getmembers(ContainerEngine, inspect.isfunction) if not name.startswith("_")}
    masked = {name for name in vars(_MaskedEngine) if not name.startswith("_")}
    assert masked | UNMASKED == methods
    assert not masked & UNMASKED


@pytest.mark.parametrize("error", [StartError, EngineFaultError, InvalidError])
@pytest.mark.parametrize("call", ["create", "start", "open_console", "look_in", "type_in"])
async def test_the_engines_own_words_are_masked(
    bare: TellingEngine, engine: ContainerEngine, secrets: SecretsOfContainers, error: type[Exception], call: str
) -> None:
    secrets.hold(NAME, [VALUE.encode()])
    container_id = "" if call == "create" else await engine.create(new())
    bare.error = error(f'exec: "{VALUE}": not found')
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: engine.create(new()),
        "start": lambda: engine.start(container_id),
        "open_console": lambda: engine.open_console(container_id, make_console()),
        "look_in": lambda: engine.look_in(container_id, make_console()),
        "type_in": lambda: engine.type_in(container_id, b"x"),
    }
    with pytest.raises(error) as raised:
        await calls[call]()
    assert str(raised.value) == 'exec: "***": not found'
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


async def test_an_error_that_quotes_nothing_is_the_engines_own(
    bare: TellingEngine, engine: ContainerEngine, secrets: SecretsOfContainers
) -> None:
    secrets.hold(NAME, [VALUE.encode()])
    bare.error = EngineFaultError("no such device", hint="plug it in")
    with pytest.raises(EngineFaultError) as raised:
        await engine.create(new())
    assert raised.value is bare.error
    bare.error = EngineFaultError(f"no {VALUE}", hint=f"set {VALUE}")
    with pytest.raises(EngineFaultError) as raised:
        await engine.create(new())
    assert (raised.value.message, raised.value.hint) == ("no ***", "set ***")
    bare.error = None
    await engine.create(new())
    with pytest.raises(NameTakenError):
        await engine.create(new())


async def test_errors_and_health_checks_of_infos_are_masked(
    bare: TellingEngine, engine: ContainerEngine, secrets: SecretsOfContainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    container_id = await engine.create(new())
    plain = await bare.find(container_id)
    assert plain is not None
    told = ContainerInfo(
        **{
            **{name: getattr(plain, name) for name in plain.__dataclass_fields__},
            "error": f"no {VALUE}",
            "health_log": "x" * 100 + VALUE + "y" * (HEALTH_LOG - 2),
        }
    )

    async def find(name_or_id: str) -> ContainerInfo:
        return told

    async def listed(**_: str) -> list[ContainerInfo]:
        return [told]

    for name, method in (("find", find), ("made", find), ("list_owned", listed), ("list_instances", listed)):
        monkeypatch.setattr(bare, name, method)
    secrets.hold(NAME, [VALUE.encode()])
    infos = [await engine.find(NAME), await engine.made(container_id)]
    infos += [*await engine.list_owned(), *await engine.list_instances()]
    for info in infos:
        assert info is not None
        assert info.error == "no ***"
        assert info.health_log == "**" + "y" * (HEALTH_LOG - 2)
    secrets.release(NAME)
    info = await engine.find(NAME)
    assert info is not None
    assert info.error == "***"


async def test_last_words_are_masked(
    bare: TellingEngine, engine: ContainerEngine, secrets: SecretsOfContainers
) -> None:
    container_id = await engine.create(new())
    secrets.hold(NAME, [VALUE.encode()])
    part = b"x" * (PART_BYTES - 7) + VALUE.encode()[:7]
    bare.lines = [LogLine(LogStream.STDOUT, 1, data) for data in (b"one\n", part, VALUE.encode()[7:] + b" is wrong")]
    assert [line.data for line in await engine.last_log_lines(container_id, 1)] == [b" is wrong"]
    assert [line.data[-6:] for line in await engine.last_log_lines(container_id, 2)] == [b"xxx***", b" wrong"]
    secrets.release(NAME)
    assert [line.data for line in await engine.last_log_lines(container_id, 3)] == [b"***\n", b"***", b""]


async def test_outputs_are_masked_and_wait_for_the_values(
    engine: ContainerEngine, secrets: SecretsOfContainers
) -> None:
    asked: list[str] = []
    secrets.asked = asked.append
    container_id = await engine.create(new(DUMMY_SLEEP="0", DUMMY_STEP_OUTPUT=f"token={VALUE};port=1"))
    await engine.prepare_outputs(container_id)
    await engine.start(container_id)
    await engine.wait(container_id)
    with pytest.raises(UnavailableError):
        await engine.read_outputs(container_id)
    assert asked == [NAME]
    secrets.hold(NAME, [VALUE.encode()])
    assert await engine.read_outputs(container_id) == b"token=***\nport=1"


@pytest.mark.parametrize("call", ["open_console", "look_in"])
async def test_consoles_are_masked(engine: ContainerEngine, secrets: SecretsOfContainers, call: str) -> None:
    container_id = await engine.create(new())
    assert await told(await getattr(engine, call)(container_id, make_console())) == b"******\n"
    secrets.hold(NAME, [VALUE.encode()])
    assert await told(await getattr(engine, call)(container_id, make_console())) == b"it is ***\n"


async def test_a_container_without_secrets_has_the_engines_console(
    bare: TellingEngine, engine: ContainerEngine
) -> None:
    container_id = await engine.create(make_new_container(environment={}))
    assert isinstance(await engine.open_console(container_id, make_console()), Writing)
    bare.lines = [LogLine(LogStream.STDOUT, 1, VALUE.encode())]
    assert await engine.last_log_lines(container_id, 5) == bare.lines
    await asyncio.sleep(0)
