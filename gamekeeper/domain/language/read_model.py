"""Reads a document as the models: every wrong value at once, in plain words, and what is right goes on to the rules."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gamekeeper.domain.language.container import LONG_FORMS, Container
from gamekeeper.domain.language.foreign_words import instead_of
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.pipeline import Pipeline
from gamekeeper.domain.language.plain_words import plain_words
from gamekeeper.domain.language.problem import MAX_PROBLEMS, Path, ProblemList, did_you_mean

# Without these of a step the rules would tell consequences: of its name, say, that nobody may need it.
_TOLD_ALONE = frozenset({"name", "type", "needs", "matrix", "outputs"})
_LISTS = {"steps": 'write each as "- name: NAME"', "finally": 'write each as "- name: NAME"'}


def add_problems(
    error: ValidationError, value: Any, model: type[BaseModel], where: Path, problems: ProblemList
) -> None:
    """Adds the problems of a value that stands at ``where`` in the document."""
    for detail in error.errors(include_url=False)[: MAX_PROBLEMS + 1]:
        _add_problem(detail, value, model, where, problems)


def read_pipeline(document: Any, problems: ProblemList) -> Pipeline | None:
    """The pipeline in a document. Where values are wrong, the pipeline without them, or None when too little is left
    to look at."""
    try:
        return Pipeline.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
    paths = [_add_problem(detail, document, Pipeline, (), problems) for detail in details[: MAX_PROBLEMS + 1]]
    if problems.is_full:
        return None
    rest = deepcopy(document)
    try:
        return Pipeline.model_validate(rest) if all(_cut(rest, path) for path in paths) else None
    except ValidationError:
        return None


def _cut(document: Any, path: Path) -> bool:
    """Takes a wrong value out, or puts a sound one in its place. False where what is left would mislead."""
    if path == ("name",):
        document["name"] = "unnamed"
    elif path[-2:] == ("container", "image"):
        _below(document, path[:-1])["image"] = "image"
    elif path[:1] in (("args",), ("envs",)):
        if len(path) < 2 or not isinstance(document[path[0]], dict):
            return False
        document[path[0]][path[1]] = {}  # its name may be used
    elif not path or path[0] == "version" or (path[0] in _LISTS and (len(path) < 3 or path[2] in _TOLD_ALONE)):
        return False
    else:
        end = max(index for index, part in enumerate(path) if isinstance(part, str))
        _below(document, path[:end]).pop(path[end], None)
    return True


def _below(document: Any, path: Path) -> Any:
    for part in path:
        document = document.get(part, {}) if isinstance(document, dict) else document[part]
    return document


def _add_problem(detail: ErrorDetails, value: Any, model: type[BaseModel], where: Path, problems: ProblemList) -> Path:
    path, model = _real_path(detail["loc"], value, model)
    path = (*where, *path)
    kind, message = detail["type"], plain_words(detail)
    name = str(detail["loc"][-1]) if detail["loc"] else ""
    if kind == "extra_forbidden":
        hint = instead_of(model.__name__, name) or did_you_mean(name, _keys_of(model))
        problems.add(path, "unknown_key", f'unknown key "{name}"', hint)
    elif kind == "missing":
        path = (*path, name)
        problems.add(path, "missing", message, f'add "{name}"')
    elif kind == "too_long":
        problems.add(path, "too_many", message, "split the pipeline")
    elif kind.startswith("gk_"):
        problems.add(path, kind[3:], message)
    else:
        problems.add(path, "value", message, _LISTS.get(str(path[-1]), "") if len(path) == 1 else "")
    return path


def _real_path(loc: tuple[int | str, ...], document: Any, model: type[BaseModel]) -> tuple[Path, type[BaseModel]]:
    """pydantic's location without the names of union branches, and the model that stands there."""
    path: list[str | int] = []
    current = document
    for part in loc:
        if isinstance(current, dict) and part in current:
            current = current[part]
        elif isinstance(current, list) and isinstance(part, int) and part < len(current):
            current = current[part]
        else:
            continue
        path.append(part)
    for part in loc[:-1]:
        model = _model_below(model, part) or model
    return tuple(path), model


def _model_below(model: type[BaseModel], part: int | str) -> type[BaseModel] | None:
    for name, info in model.model_fields.items():
        if part in (name, info.alias):
            return (LONG_FORMS.get(name) if model is Container else None) or _find_model(info.annotation)
    return NodeSelector if part == "labels" else None


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _find_model(inner)
        if found:
            return found
    return None


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]
