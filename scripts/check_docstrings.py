"""Holds the style of docstrings: a docstring says what its thing is or does, so it never begins with a question word.

"What a step hands on" makes a reader look for the sentence that it belongs to; "Outputs of a step" does not. And each
method of a port says whether it is idempotent, because its callers repeat calls after a crash.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FORBIDDEN = frozenset({"What", "Who", "Whom", "Whose", "Whether", "How", "Where", "Which", "When", "Why"})
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
GENERATED = "gamekeeper/rpc/v1/"
PORTS = "gamekeeper/ports/"


def bad_docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Lines of docstrings that begin with a question word, each with that word."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED):
            words = (ast.get_docstring(node) or "").split(maxsplit=1)
            if words and words[0] in FORBIDDEN:
                yield node.body[0].lineno, words[0]


def silent_port_methods(text: str) -> Iterator[tuple[int, str]]:
    """Lines of methods of Protocols that do not say whether they are idempotent, each with the method's name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases):
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    if "idempotent" not in (ast.get_docstring(method) or "").lower():
                        yield method.lineno, method.name


def main() -> int:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = [
        f'{path}:{line}: a docstring begins with "{word}"; write a plain sentence, as "The state of a step"'
        for path in sorted(files)
        if not path.startswith(GENERATED) and Path(path).exists()
        for line, word in bad_docstrings(Path(path).read_text())
    ]
    found += [
        f"{path}:{line}: the docstring of {name} does not say whether it is idempotent"
        for path in sorted(files)
        if path.startswith(PORTS)
        for line, name in silent_port_methods(Path(path).read_text())
    ]
    print("\n".join(found) if found else f"docstrings of {len(files)} files begin with plain words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
