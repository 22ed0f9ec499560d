"""An agent loads no more than it needs: the machine's memory is for games."""

from __future__ import annotations

import subprocess
import sys

GUESSES_NOTHING = """
import sys, warnings
warnings.simplefilter("error")
import agent_worker.docker_engine
from requests import Response
answer = Response()
answer._content = "Größe".encode()
print(answer.text, [name for name in sys.modules if name.startswith("charset_normalizer")])
import charset_normalizer
"""
LOADS = "import sys, agent_worker.__main__, agent_worker.docker_engine; print(*sys.modules)"


def said(code: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_docker_sdk_guesses_no_encoding_and_reads_utf_8() -> None:
    assert said(GUESSES_NOTHING) == "Größe []\n"


def test_of_pipelines_an_agent_knows_containers_alone() -> None:
    loaded = set(said(LOADS).split())
    assert "gamekeeper.domain.language.container" in loaded
    models = {f"gamekeeper.domain.language.{name}" for name in ("pipeline", "step", "resolved", "declared_input")}
    assert not loaded & models
