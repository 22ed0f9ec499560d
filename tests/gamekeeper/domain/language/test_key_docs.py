"""The JSON Schema and what it says of each key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gamekeeper.domain.language.key_docs import MODELS, json_schema
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.source import core_value, parse_text

EXAMPLES = sorted((Path(__file__).parents[4] / "examples").rglob("*.yaml"))


def all_models() -> dict[str, type[Model]]:
    """The models of pipelines. Those of instances describe their keys themselves."""
    found, waiting = dict[str, type[Model]](), [Model]
    while waiting:
        for model in waiting.pop().__subclasses__():
            if model.__module__.startswith("gamekeeper.domain.language."):
                found[model.__name__] = model
            waiting.append(model)
    return found


def test_every_key_is_described_and_nothing_else() -> None:
    described = {name: set(keys) for name, keys in MODELS.items()}
    assert described == {
        name: {info.alias or key for key, info in model.model_fields.items()} for name, model in all_models().items()
    }


def test_the_schema_says_it() -> None:
    schema = json_schema()
    for name in MODELS:
        model = schema if name == "Pipeline" else schema["$defs"][name]
        for key, known in model["properties"].items():
            assert known["description"], (name, key)
            assert known["examples"], (name, key)


def plain(value: Any) -> Any:
    """The document as a YAML 1.2 reader, such as an editor's, gives it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return core_value(value)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_fit_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(plain(parse_text(path.read_text()).value))


@pytest.mark.parametrize("name", MODELS)
def test_the_examples_of_keys_are_valid(name: str) -> None:
    """The language accepts an editor's offers."""
    model = all_models()[name]
    keys: dict[str, Any] = {key: example for key, (_, example) in MODELS[name].items()}
    if name == "Container":
        del keys["commands"]  # one way to run
    if name == "Env":
        del keys["secret"]  # or all others
    if name == "NamedSecret":
        del keys["env"]  # or a file
    if name == "NodeSelector":
        del keys["pack"]  # one strategy
    model.model_validate(keys)
