"""Holds the sizes: no file over 500 lines, no function over 60, no bootstrap over 100, no workflow module over 300."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
GENERATED = ("gamekeeper/rpc/v1/", "gamekeeper/db/migrations/versions/")
MAX_FILE, MAX_FUNCTION = 500, 60
LIMITS = {"workflows/": 300, "bootstrap.py": 100}


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = [name for name in listed.stdout.split() if not name.startswith(GENERATED) and (ROOT / name).exists()]
    problems: list[str] = []
    lengths, functions = [], []
    for name in files:
        text = (ROOT / name).read_text()
        count = len(text.splitlines())
        lengths.append(count)
        limit = next(
            (limit for part, limit in LIMITS.items() if name.startswith(part) or name.endswith(part)), MAX_FILE
        )
        if count > limit:
            problems.append(f"{name}: {count} lines, the limit is {limit}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                functions.append(size)
                if size > MAX_FUNCTION:
                    problems.append(f"{name}:{node.lineno}: {node.name} has {size} lines, the limit is {MAX_FUNCTION}")
    print("\n".join(problems))
    print(f"{len(files)} files, median {statistics.median(lengths):.0f} lines, longest {max(lengths)};", end=" ")
    print(f"{len(functions)} functions, median {statistics.median(functions):.0f}, longest {max(functions)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
