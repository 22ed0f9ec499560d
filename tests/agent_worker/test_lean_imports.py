"""The Docker SDK loads nothing that guesses encodings, and reads UTF-8 all the same."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys, warnings
warnings.simplefilter("error")
import agent_worker.docker_engine
from requests import Response
answer = Response()
answer._content = "Größe".encode()
print(answer.text, [name for name in sys.modules if name.startswith("charset_normalizer")])
import charset_normalizer
"""


def test_the_agent_guesses_no_encoding() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "Größe []\n"), ended.stderr
