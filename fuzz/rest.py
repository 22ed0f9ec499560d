"""REST as schemathesis asks it: all routes of the document, with examples, the bounds of each schema, random data and
chains of requests."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path

from fuzz.outcome import PYTHON, ROOT, Outcome
from fuzz.target import target
from tests.fixtures.api import ADMIN_KEY

CONFIGURATION = ROOT / "fuzz" / "schemathesis.toml"
REQUEST_SECONDS = 60
DOCUMENT_SECONDS = 100.0
_CASES = re.compile(r"Test cases:\s+([\d,]+) generated")
_FAULTS = re.compile(r"^={3,} (?:FAILURES|ERRORS) ={3,}$(.*?)^={3,} ", re.M | re.S)
_HEAD = re.compile(r"^_{3,} (.+?) _{3,}$", re.M)


async def ask(database: str, phases: str, examples: int, seed: int, folder: Path) -> Outcome:
    """``examples`` is of each route, and of the chains. All that schemathesis printed stays in the folder."""
    begun = time.monotonic()
    report = folder / f"rest-{database}.txt"
    async with target(database) as api:
        address = f"http://{api.rest_address}"
        # It is made when it is first asked for, and schemathesis waits ten seconds for it.
        (await api.http.get("/openapi.json", timeout=DOCUMENT_SECONDS)).raise_for_status()
        options = ["--phases", phases, "--max-examples", examples, "--seed", seed, "--request-timeout", REQUEST_SECONDS]
        printed, code = await _run(
            folder,
            *("--config-file", CONFIGURATION, "run", f"{address}/api/v1/openapi.json", "--url", address),
            *("--header", f"Authorization: Bearer {ADMIN_KEY}", "--continue-on-failure", "--no-color", *options),
            *("--generation-database", "none", "--warnings", "off"),
        )
    report.write_text(printed)
    found = _CASES.search(printed)
    faults = faults_of(printed)
    if not faults and (code != 0 or found is None):
        faults = [f"schemathesis ended with {code}: {printed[-2000:]}"]
    cases = int(found.group(1).replace(",", "")) if found else 0
    return Outcome(f"rest {database}", cases, time.monotonic() - begun, faults, f"({phases}; {report})")


def faults_of(printed: str) -> list[str]:
    """Each route that failed, with the request that shows it."""
    told = "\n".join(found.group(1) for found in _FAULTS.finditer(printed))
    parts = _HEAD.split(told)[1:]
    return [f"{route}\n{text.strip()}" for route, text in zip(parts[::2], parts[1::2], strict=True)]


async def _run(folder: Path, *options: object) -> tuple[str, int]:
    """Within the folder: schemathesis keeps what failed before in the one that it runs in."""
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "fuzz.rest_checks",
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "COLUMNS": "120",
    }
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON / "schemathesis"), *map(str, options)),
        env=environment,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed = (await process.communicate())[0].decode()
    assert process.returncode is not None
    return printed, process.returncode
