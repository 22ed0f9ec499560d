"""All that reads texts and bytes of others, as functions of bytes. Each may refuse by an error of our own tree alone.

``fuzz.guided`` makes the bytes, by coverage; what broke one is fed to it again by ``make fuzz``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent_worker.policy import load_policy
from gamekeeper.db.repositories.page import decode_cursor
from gamekeeper.domain.instance.document import InstanceDocument, make_spec, read_document
from gamekeeper.domain.language import cron, units
from gamekeeper.domain.language.arguments import read_args
from gamekeeper.domain.language.clock_change import change_times
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.declared_input import Arg
from gamekeeper.domain.language.device import read_device
from gamekeeper.domain.language.evaluation import Values, evaluate, render
from gamekeeper.domain.language.expressions import Scope, check_expression
from gamekeeper.domain.language.pattern import matches
from gamekeeper.domain.language.pipeline import ScheduleLine
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.published_port import parse_ports, read_exposed, read_port
from gamekeeper.domain.language.resolve import Call, resolve, validate
from gamekeeper.domain.language.shell_text import find_fault
from gamekeeper.domain.language.source import parse_text, read_value
from gamekeeper.domain.language.volume import read_volume, split_volume
from gamekeeper.domain.log.log import LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import LinePacker, check_pack, first_seq, unpack
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import GamekeeperError

Property = Callable[[bytes], None]
EXAMPLES = Path(__file__).parent.parent / "examples"
CALL = Call(node="node-1", run_id="0123456789ab")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALUES = Values(
    args={"a": 1, "text": "x", "list": [1, 2, 3], "map": {"k": "v"}},
    envs={"E": "e"},
    steps={"s": {"status": "success", "exit_code": 0, "outputs": {"o": "1"}}},
    run={"id": "r", "name": "n", "status": "running"},
    node={"id": "node-1"},
    status={"success": True, "failure": False, "always": True, "cancelled": False},
)
ARGS = TypeAdapter(dict[str, Arg])


def pipeline(data: bytes) -> None:
    document = parse_text(_text(data))
    validate(document)
    resolve(document, CALL)


def pipeline_as_json(data: bytes) -> None:
    resolve(read_value(_json(data)), CALL)


def instance(data: bytes) -> None:
    document, problems = parse_text(_text(data)), ProblemList()
    found = read_document(document, InstanceDocument, problems)
    if found is not None:
        make_spec(found, "arena", problems)


def expression(data: bytes) -> None:
    text = _text(data)
    with suppress(GamekeeperError):
        check_expression(text, Scope(args=frozenset({"a", "text", "list", "map"})))
    with suppress(GamekeeperError):
        evaluate(text, VALUES)
    render(text, VALUES)


def arguments(data: bytes) -> None:
    declared, _, given = _text(data).partition("\n")
    with suppress(ValidationError):
        values = _json(given)
        read_args(ARGS.validate_python(_json(declared)), values if isinstance(values, dict) else {}, ProblemList())


def schedule(data: bytes) -> None:
    line, _, zone = _text(data).partition("\n")
    try:
        found = ScheduleLine.model_validate({"cron": line, "timezone": zone or "UTC"})
    except ValidationError:
        return
    change_times(found.cron, found.timezone, NOW)
    cron.for_temporal(found.cron)
    assert all(moment > datetime(2026, 3, 1) for moment in islice(cron.wall_times(found.cron, datetime(2026, 3, 1)), 3))


def pattern(data: bytes) -> None:
    wanted, _, text = _text(data).partition("\n")
    with suppress(ValueError):
        matches(wanted, text)


def policy(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".yaml") as file:
        file.write(data)
        file.flush()
        found = load_policy(Path(file.name))
    for container in CONTAINERS:
        found.violations(container, Subject("game", "arena"))
        found.violations(container, Subject("game", ""), on_node=True, files_of=lambda path: [path])
    assert NodePolicy.model_validate_json(found.model_dump_json()).revision == found.revision


def container(data: bytes) -> None:
    """Of Compose's keys, judged by the strictest policy and by one that gives everything."""
    try:
        found = Container.model_validate(_json(data))
    except ValidationError:
        return
    for judge in POLICIES:
        judge.violations(found, Subject("game", "arena"))


def log_pack(data: bytes) -> None:
    record = LogRecord(1 << 40, LogStream.LINES, 0, data)
    check_pack(record)
    lines, again = unpack(record), LinePacker()
    assert [line.seq for line in lines] == list(range(first_seq(record), record.seq + 1))
    for line in lines:
        again.add(line.stream, line.ts_ns, line.data)
    assert again.record(record.seq).data == data


def log_marks(data: bytes) -> None:
    with suppress(GamekeeperError):
        LogGap.decode(data).encode()
    LogEnd.decode(data).encode()


def short_texts(data: bytes) -> None:
    """Durations, sizes, ports, volumes, devices, commands and cursors: a ValueError is how those of a model refuse."""
    text = _text(data)
    for read in SHORT:
        with suppress(ValueError, GamekeeperError):
            read(text)
    find_fault(text)


SHORT: tuple[Callable[[str], Any], ...] = (
    units.parse_duration,
    units.parse_bytes,
    parse_ports,
    read_port,
    read_exposed,
    read_volume,
    split_volume,
    read_device,
    decode_cursor,
)
CONTAINERS = [
    Container(image="registry.example/a/b:1", ports=["80:80/udp"], volumes=["/srv/games:/x:ro", "data:/y"]),
    Container(image="debian", devices=["/dev/dri/card0"], cap_add=["NET_ADMIN"], sysctls={"net.core.somaxconn": "1"}),
    Container(image="debian@sha256:" + "0" * 64, user="1000", privileged=True, group_add=["video"]),
]
POLICIES = [NodePolicy(), NodePolicy(host_paths=["/**"], volumes=["*"], images=["*"], privileged=True, root=True)]
PROPERTIES: dict[str, Property] = {
    made.__name__: made
    for made in (
        pipeline,
        pipeline_as_json,
        instance,
        expression,
        arguments,
        schedule,
        pattern,
        policy,
        container,
        log_pack,
        log_marks,
        short_texts,
    )
}


def hold(name: str, data: bytes) -> None:
    """Raises whatever is no error of our own tree."""
    with suppress(GamekeeperError):
        PROPERTIES[name](data)


def seeds(name: str) -> Iterator[bytes]:
    """Sound inputs to begin with."""
    examples = [path.read_bytes() for path in sorted(EXAMPLES.rglob("*.yaml"))]
    if name in ("pipeline", "instance"):
        yield from examples
    yield from (text.encode() for text in SOUND.get(name, ()))
    if name == "log_pack":
        packer = LinePacker()
        for number in range(3):
            packer.add(LogStream.STDOUT, number, b"line %d" % number)
        yield packer.record(3).data


SOUND: dict[str, tuple[str, ...]] = {
    "pipeline_as_json": (
        '{"name": "t", "args": {"a": {"type": "integer", "default": 1}}, "steps": [{"name": "a", "matrix": {"x": [1]},'
        ' "container": {"image": "b", "commands": ["echo ${{ args.a }}"]}, "if": "args.a > 1", "retry": {}}'
        "]}",
    ),
    "instance": (
        "id: arena\nnode: node-1\ncontainer:\n  image: debian:12\n  ports: ['8303:8303/udp']\n  environment: {A: b}\n"
        "ready: {log: up}\nrestart: {policy: always}\nschedules: [{name: n, action: restart, cron: '0 5 * * *'}]\n",
    ),
    "expression": (
        "args.a + 1 > 2 && steps.s.outputs.o == '1'",
        "args.list.map(x, x * 2).filter(y, y > 2)",
        "hash(args.text) + string(range(3)[1]) + fromJSON('[1]')[0]",
        "${{ args.text }} of ${{ run.id }}",
        "always() || duration('5m') < duration('1h') && args.text.matches('^x+$')",
    ),
    "arguments": (
        '{"a": {"type": "integer", "min": 1, "max": 9}, "b": {"type": "string", "pattern": "^x+$", "enum": ["x"]}}\n'
        '{"a": "5", "b": "x"}',
        '{"a": {"type": "object"}, "b": {"type": "array", "required": false}}\n{"a": {"x": 1}}',
    ),
    "schedule": ("0 5 * * MON-FRI\nEurope/Berlin", "*/15 1-3,7 1/2 JAN *\nAmerica/New_York", "@daily\nAsia/Tokyo"),
    "pattern": ("^[a-z]+(-[0-9]{1,3})?$\nab-12", "(a|b)*c\nababc"),
    "policy": (
        "version: 2\nimages: [debian, ghcr.io/a/*]\nports: [8000-8100/udp]\nhost_paths: [/srv]\nroot: true\n"
        "limits: {memory: 4g, cpus: 2}\ndefaults: {memory: 1g, pids: 100, ulimits: {nofile: 1024}}\n"
        "rules: [{image: debian, allow: {devices: [/dev/dri], ports: ['53']}}]\n",
    ),
    "container": (
        '{"image": "a", "ports": ["80:80"], "volumes": ["/a:/b:ro", {"type": "tmpfs", "target": "/x"}], "user": "0",'
        ' "devices": ["/dev/x:/dev/y:rwm"], "deploy": {"resources": {"limits": {"memory": "1g", "cpus": "2"}}},'
        ' "healthcheck": {"test": ["CMD", "true"], "interval": "5s"}, "ulimits": {"nofile": {"soft": 1, "hard": 2}}}',
    ),
    "log_marks": ('{"from": 1, "to": 9, "reason": "full"}', '{"complete": true, "reason": ""}'),
    "short_texts": (
        "1h30m",
        "512m",
        "127.0.0.1:8000-8010:80-90/udp",
        "/a:/b:ro,z",
        "/dev/x:/dev/y:rw",
        "echo '$x' <<E",
    ),
}


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape") if data[:1] == b"\xff" else data.decode(errors="replace")


def _json(data: bytes | str) -> Any:
    """The value of a body of JSON; one that can't be read is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
