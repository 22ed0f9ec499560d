"""Documents made at random: the validator answers with a pipeline or a list of problems, never with a crash."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.domain.language.key_docs import MODELS
from gamekeeper.domain.language.resolve import Call, resolve
from gamekeeper.domain.language.source import Document, parse_text
from gamekeeper.errors import SpecError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["", "5m", "hold 5m", "${{ args.a }}", "${{ matrix.x }}", "${{ 1 / 0 }}", "${{", "steps.a.outputs.b"]
    )
    | st.text(max_size=20)
)
KEYS = st.sampled_from(sorted({key for keys in MODELS.values() for key in keys})) | st.text(max_size=5)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
CONTAINERS = st.fixed_dictionaries(
    {"image": SCALARS}, optional=dict.fromkeys(MODELS["Container"].keys() - {"image"}, TREES)
)
STEPS = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c"])},
    optional=dict.fromkeys(MODELS["Step"].keys() - {"name"}, TREES) | {"container": CONTAINERS},
)
PIPELINES = st.fixed_dictionaries(
    {"name": st.just("test"), "steps": st.lists(STEPS, min_size=1, max_size=4)},
    optional=dict.fromkeys(MODELS["Pipeline"].keys() - {"name", "steps"}, TREES),
)


def survives(document: Document) -> None:
    with suppress(SpecError):
        resolve(document, Call(node="node-1", run_id="run"))


@settings(max_examples=300, deadline=None)
@given(PIPELINES | TREES)
def test_any_object(value: Any) -> None:
    survives(Document(value))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    try:
        document = parse_text(text)
    except SpecError:
        return
    survives(document)


@pytest.mark.parametrize(
    "text", ["a: &x [*x]", "a: &a [1]\nb: *a", "!!python/object:os.system {}", "? [a]\n: b", "\x00"]
)
def test_what_yaml_offers_beyond_the_language(text: str) -> None:
    with pytest.raises(SpecError):
        resolve(parse_text(text), Call(node="node-1", run_id="run"))
