"""Reads a pipeline's text: YAML 1.2 core or JSON, with the place of every value.

libyaml does the parsing. Only the resolution of plain scalars is ours, because the language keeps values as
written (``3.10`` stays "3.10", ``no`` stays "no") and lets the model that reads a value decide its type.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from gamekeeper.domain.language.problem import Path, Problem, ProblemList, dotted
from gamekeeper.errors import SpecError

MAX_TEXT_BYTES = 1024 * 1024
MAX_VALUES = 100_000
MAX_DEPTH = 64
MAX_ENTRIES = 5_000  # of one list or mapping
HALF_A_PAIR = "holds half of a surrogate pair, which is no text"
TOO_MANY = f"a list or mapping has over {MAX_ENTRIES:,} entries"
LIGHT_BYTES = 8 * 1024
_FIRST_ONES = {"pipeline": "tutorial.md", "instance": "instances.md"}
_MACRO = re.compile(r"\.\s*(?:map|filter|all|exists\w*)\s*\(")
_MERGE = "tag:yaml.org,2002:merge"  # libyaml's tag of a plain "<<"

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_NO_TEXT = re.compile("[\ud800-\udfff\x00]")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class Plain(str):
    """A plain (unquoted) scalar: the text as written, so that each model may read it as the type it wants."""

    __slots__ = ()


@dataclass
class Document:
    """``value`` is made of dict, list, str, Plain and None; ``positions`` gives (line, column) from 1 by path. One that
    ``is_light`` is judged within a moment."""

    value: Any
    positions: dict[Path, tuple[int, int]] = field(default_factory=dict)
    is_light: bool = True


def core_value(value: Any) -> Any:
    """A plain scalar in the types of YAML 1.2's core schema; everything else unchanged, containers included."""
    if isinstance(value, dict):
        return {key: core_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [core_value(item) for item in value]
    if not isinstance(value, Plain):
        return value
    return _core_scalar(str(value))


def _core_scalar(text: str) -> Any:
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INT.fullmatch(text) and len(text) <= 100:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def refuse_half_pairs(text: str) -> None:
    """Raises SpecError for text that has no UTF-8: JSON can spell half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _one_problem("unicode", HALF_A_PAIR, (text.count("\n", 0, error.start) + 1, 0)) from None


def refuse_broken_text(value: Any, problems: ProblemList, path: Path = ()) -> None:
    """JSON can spell half of a surrogate pair, and YAML a NUL: no argument, database or payload takes them. Raises
    SpecError at once: a message that quotes such a text could not be sent either."""
    left: list[tuple[Path, Any]] = [(path, value)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            keys = {str(key): item for key, item in value.items()}
            left += [(path, key) for key in keys]
            left += [((*path, key), item) for key, item in keys.items() if not _NO_TEXT.search(key)]
        elif isinstance(value, list):
            left += [((*path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, str) and (found := _NO_TEXT.search(value)):
            if found.group() == "\0":
                problems.add(
                    path, "nul", "holds a NUL, which no container takes", "leave it out, or write it as base64"
                )
            else:
                problems.add(path, "unicode", HALF_A_PAIR, "write the character itself")
            raise SpecError(problems.problems)


def parse_text(text: str, limit: int = MAX_TEXT_BYTES, what: str = "pipeline") -> Document:
    """The document in ``text``, of at most ``limit`` bytes. Raises SpecError with the line for YAML that does not
    parse, which names ``what`` it should be."""
    try:
        return _parse(text, limit, what)
    except SpecError as error:
        raise SpecError(error.problems, what) from error.__cause__


def _parse(text: str, limit: int, what: str) -> Document:
    refuse_half_pairs(text)
    if len(text.encode()) > limit:
        raise _one_problem("too_large", f"the text is over {limit // 1024} KiB", (0, 0), "split it")
    try:
        _refuse_large(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (min(mark.line, text.rstrip().count("\n")) + 1, mark.column + 1) if mark else (0, 0)
        message = f"not valid YAML: {error.problem or error.context}"
        raise _one_problem("yaml", message, where, "check the indentation, quotes and brackets there") from error
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        raise _one_problem("yaml", f"not valid YAML: {error}".replace("\n", " "), (0, 0)) from error
    if root is None:
        raise _one_problem("empty", f"the {what} is empty", (1, 1), f"see docs/{_FIRST_ONES[what]} for a first one")
    builder = _Builder()
    value = builder.build(root, ())
    if builder.problems:
        raise SpecError(builder.problems)
    return Document(value, builder.positions, is_light(text))


def is_light(text: str) -> bool:
    """True for a pipeline of a few KiB that repeats nothing."""
    return len(text) <= LIGHT_BYTES and not _MACRO.search(text)


def read_value(value: Any) -> Document:
    """The document of a value that came as JSON. Raises SpecError for one that is too large, as ``parse_text`` does."""
    left: list[tuple[Any, int]] = [(value, 0)]
    count = 0
    while left:
        item, depth = left.pop()
        count += 1
        entries = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        if depth > MAX_DEPTH:
            raise _one_problem("too_deep", f"nested more than {MAX_DEPTH} levels deep", (0, 0))
        if len(entries) > MAX_ENTRIES:
            raise _one_problem("too_large", TOO_MANY, (0, 0), "split it, or pass it as a file")
        if count > MAX_VALUES:
            raise _one_problem("too_large", f"over {MAX_VALUES:,} values", (0, 0), "split it")
        left += [(entry, depth + 1) for entry in entries]
    return Document(value, is_light=is_light(json.dumps(value)))


def _refuse_large(text: str) -> None:
    """libyaml composes by recursion, without a bound: 40,000 "[" end the process. So all is counted before."""
    count = 0
    entries: list[int] = []  # of each list and mapping that is open; a mapping's are its keys and its values
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            entries.pop()
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if entries:
                entries[-1] += 1
            _refuse_event(event, count, entries)
            if isinstance(event, yaml.CollectionStartEvent):
                entries.append(0 if isinstance(event, yaml.SequenceStartEvent) else -MAX_ENTRIES)


def _refuse_event(event: yaml.Event, count: int, entries: list[int]) -> None:
    place = (event.start_mark.line + 1, event.start_mark.column + 1) if event.start_mark else (0, 0)
    if len(entries) > MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
        raise _one_problem("too_deep", f"nested more than {MAX_DEPTH} levels deep", place)
    if count > 2 * MAX_VALUES:
        raise _one_problem("too_large", f"over {MAX_VALUES:,} values", place)
    if entries and entries[-1] > MAX_ENTRIES:
        raise _one_problem("too_large", TOO_MANY, place, "split it, or pass it as a file")


def _one_problem(code: str, message: str, where: tuple[int, int], hint: str = "") -> SpecError:
    return SpecError([Problem(path="", line=where[0], column=where[1], code=code, message=message, hint=hint)])


class _Builder:
    """Turns libyaml's nodes into values, counting them, so that aliases can't multiply without bound."""

    def __init__(self) -> None:
        self.positions: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._count = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        if self._count > MAX_VALUES:
            raise _one_problem("too_large", f"over {MAX_VALUES} values after aliases are expanded", place)
        if len(path) > MAX_DEPTH:
            raise _one_problem("too_deep", f"nested more than {MAX_DEPTH} levels deep", place)
        self.positions.setdefault(path, place)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        self._fill(node, path, result, 0)
        return result

    def _fill(self, node: yaml.MappingNode, path: Path, result: dict[str, Any], depth: int) -> None:
        """Adds the keys of a mapping that are not there yet, and behind them those that it merges in with ``<<``."""
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(path, key_node, "key", "a key must be a plain word")
            elif key in lines:
                message = f'key "{key}" given twice (also line {lines[key]})'
                hint = "write several as <<: [*a, *b]" if key_node.tag == _MERGE else ""
                self._problem((*path, key), key_node, "duplicate", message, hint)
            elif key_node.tag == _MERGE:
                lines[key] = line
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                lines[key] = line
                if key not in result:  # else a mapping that merges this one gives it
                    self.positions[(*path, key)] = (line, key_node.start_mark.column + 1)
                    result[key] = self.build(value_node, (*path, key))
        for source in merged:
            self._merge(source, path, result, depth + 1)

    def _merge(self, source: yaml.Node, path: Path, result: dict[str, Any], depth: int) -> None:
        self._count += 1
        place = (source.start_mark.line + 1, source.start_mark.column + 1)
        if depth > MAX_DEPTH or self._count > MAX_VALUES:
            raise _one_problem("too_deep", f"over {MAX_DEPTH} merges one in another, or {MAX_VALUES} values", place)
        if isinstance(source, yaml.MappingNode):
            self._fill(source, path, result, depth)
        else:
            hint = "write <<: *name, or <<: [*a, *b]"
            self._problem((*path, "<<"), source, "merge", "a merge takes mappings", hint)

    def _problem(self, path: Path, node: yaml.Node, code: str, message: str, hint: str = "") -> None:
        line, column = (node.start_mark.line + 1, node.start_mark.column + 1)
        problem = Problem(path=dotted(path), line=line, column=column, code=code, message=message, hint=hint)
        self.problems.append(problem)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if node.style:
        return text
    return None if text in ("", "~", "null", "Null", "NULL") else Plain(text)
