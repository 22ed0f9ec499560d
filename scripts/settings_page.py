"""Renders docs/settings.md, the page of all settings of all processes, from their descriptions."""

from __future__ import annotations

from collections.abc import Iterable

import typer
from pydantic import BaseModel

from agent_worker.settings import PREFIX as AGENT_PREFIX
from agent_worker.settings import AgentSettings
from api.settings import ApiSettings
from control_worker.settings import ControlWorkerSettings
from gamekeeper.cli.app import build
from gamekeeper.settings import PayloadSettings
from gateway.settings import GatewaySettings

Row = tuple[str, str, str]  # variable, default, meaning

PREFIX = "GAMEKEEPER_"
HEAD = """\
# Every setting

Written by `make pages` from the settings of each process. A process reads its environment once, when it starts.
`gamekeeper up` sets those of the processes that it starts; what stands in its own environment reaches them too.
"""
LIBRARIES: list[Row] = [
    (
        "TEMPORAL_*",
        "",
        "Read by Temporal's SDK: address, namespace, TLS, API key. `TEMPORAL_ADDRESS` also tells `gamekeeper up` to "
        "use that server instead of one of its own.",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "URL of a collector of traces. Without it no tracing is loaded at all, which saves each agent some megabytes.",
    ),
]


def sections() -> dict[str, list[Row]]:
    shared = _rows(PayloadSettings, PREFIX)
    own = [row for row in _rows(ApiSettings, PREFIX) if row not in shared]
    return {
        "`api`, `control_worker` and `gateway`": shared,
        "`api`": own,
        "`control_worker`": [row for row in _rows(ControlWorkerSettings, PREFIX) if row not in shared],
        "`gateway`": [row for row in _rows(GatewaySettings, PREFIX) if row not in shared],
        "`agent_worker`": _rows(AgentSettings, AGENT_PREFIX),
        "The command `gamekeeper`": list(_options()),
        "Read by libraries": LIBRARIES,
    }


def render() -> str:
    parts = [HEAD]
    for title, rows in sections().items():
        parts.append(f"## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |")
        parts += [f"| `{variable}` | {default} | {meaning} |" for variable, default, meaning in rows]
        parts.append("")
    return "\n".join(parts)


def _rows(model: type[BaseModel], prefix: str) -> list[Row]:
    return [
        (prefix + name.upper(), _shown(field.default), field.description or "")
        for name, field in model.model_fields.items()
    ]


def _options() -> Iterable[Row]:
    for option in typer.main.get_command(build()).params:
        if isinstance(option.envvar, str):
            yield option.envvar, "", f"{getattr(option, 'help', '')}. The same as `{option.opts[0]}`."


def _shown(default: object) -> str:
    if default is None or default == "":
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
