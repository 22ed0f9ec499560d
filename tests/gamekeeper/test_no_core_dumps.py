"""A process that crashes leaves no memory on the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CRASH = """
import os, resource
from gamekeeper.no_core_dumps import leave_no_core_dumps
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
leave_no_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
os.abort()
"""


def test_a_crash_leaves_no_core_dump(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"(1, 1)\n"
    assert done.returncode == -6
    assert list(tmp_path.iterdir()) == []
