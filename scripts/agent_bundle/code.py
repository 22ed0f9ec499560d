"""The part of our code that an agent runs, and the libraries which that part imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
OURS = frozenset({"activities", "agent_worker", "gamekeeper"})
# The agent, and what it starts by name in processes of their own.
STARTED = ("agent_worker.__main__", "gamekeeper.certificates.node_key", "cpuinfo")


def source_files() -> tuple[list[Path], set[str]]:
    """Our files that the agent may import, and the dotted names that it imports of others."""
    seen: set[str] = set()
    foreign: set[str] = set()
    waiting = list(STARTED)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name.partition(".")[0] not in OURS:
            foreign.add(name)
        elif (path := _file_of(name)) is not None:
            waiting.extend(_imports(path))
            waiting.extend(name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1))
    files = {path for name in seen if name.partition(".")[0] in OURS and (path := _file_of(name)) is not None}
    return sorted(files), {name for name in foreign if name.partition(".")[0] not in sys.stdlib_module_names}


def libraries(names: Iterable[str]) -> list[Distribution]:
    """The installed distributions that hold these modules, with all that they require, by name."""
    owners = _owners()
    waiting = [(owner, frozenset[str]()) for name in names for owner in _owner_of(name, owners)]
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in found:
            continue
        found[name, extras] = library = distribution(name)
        waiting.extend(_required(library, extras))
    return [library for _, library in sorted({_key(item): item for item in found.values()}.items())]


def library_files(library: Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    """Each installed file with its place among the libraries; commands, notes of pip and compiled code are left out."""
    for file in library.files or []:
        is_note = file.suffix == ".pyc" or file.name in ("direct_url.json", "INSTALLER", "REQUESTED", "RECORD")
        if ".." not in file.parts and not is_note:
            yield PurePosixPath(*file.parts), Path(str(file.locate()))


def _file_of(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    candidates = (path.with_name(path.name + ".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _imports(path: Path) -> Iterator[str]:
    """Every import of a file, the late ones too. ``from a import b`` may be a module ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module.partition(".")[0] in OURS:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _owners() -> dict[str, set[str]]:
    """Distributions by each module that they hold: ``google.protobuf`` and ``google.rpc`` have different ones."""
    found: dict[str, set[str]] = {}
    for item in distributions():
        key = _key(item)  # it reads the whole metadata each time
        for file in item.files or []:
            if file.suffix in (".py", ".so") and ".." not in file.parts:
                parts = [*file.parts[:-1], file.name.partition(".")[0]]
                for length in range(1, len(parts) + 1):
                    found.setdefault(".".join(parts[:length]), set()).add(key)
    return found


def _owner_of(name: str, owners: dict[str, set[str]]) -> set[str]:
    """The owners of the longest part of a dotted name that somebody has."""
    part = name
    while part and part not in owners:
        part = part.rpartition(".")[0]
    if not part:
        raise SystemExit(f"gamekeeper: no installed package has {name}; run make venv")
    return owners[part]


def _required(library: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in library.requires or []:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield wanted.name.lower().replace("_", "-").replace(".", "-"), frozenset(wanted.extras)


def _key(library: Distribution) -> str:
    return str(library.metadata["Name"]).lower().replace("_", "-").replace(".", "-")
