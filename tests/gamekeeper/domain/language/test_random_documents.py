"""Odd documents, of a list and made at random: the answer is a pipeline or a list of problems, never a crash."""

from __future__ import annotations

import re
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.domain.language.key_docs import MODELS
from gamekeeper.domain.language.resolve import Call, resolve
from gamekeeper.domain.language.source import Document, parse_text
from gamekeeper.errors import SpecError

TEXTS = ["", "5m", "hold 5m", "0s", "999999d", "'", "(", "a:/b", "80:80", "steps.a.outputs.b"]
TEMPLATES = ["${{ args.a }}", "${{ args.a + 1 }}", "${{ matrix.x }}", "${{ 1 / 0 }}", "${{ args.", "x${{ run.id }}"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.sampled_from(TEMPLATES)
    | st.text(max_size=20)
)
KEYS = st.sampled_from(sorted({key for keys in MODELS.values() for key in keys})) | st.text(max_size=5)
ROWS = st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=3)
TREES = SCALARS | ROWS | st.lists(ROWS, max_size=2) | st.dictionaries(KEYS, SCALARS | ROWS, max_size=3)


def with_odd_keys(model: str, **sound: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A sound object in which a few keys are odd: one with many is refused at the first, and tries no rule after it."""
    odd = st.dictionaries(st.sampled_from(sorted(MODELS[model])), SCALARS | TREES, max_size=2)
    return st.builds(lambda first, then: first | then, st.fixed_dictionaries(sound), odd)


CONTAINERS = with_odd_keys("Container", image=st.just("image") | SCALARS)
STEPS = with_odd_keys("Step", name=st.sampled_from(["a", "b", "c"]), container=CONTAINERS)
ARGS = st.dictionaries(st.just("a"), SCALARS | with_odd_keys("Arg", default=SCALARS), max_size=1)
PIPELINES = with_odd_keys(
    "Pipeline",
    name=st.just("test"),
    args=ARGS,
    steps=st.lists(STEPS, min_size=1, max_size=3, unique_by=lambda step: str(step["name"])),
)


# Words of pydantic, of CEL's library and of Python, which no user has asked for.
INSIDE = re.compile(
    r"[Ii]nput (should|tag)|valid (string|integer|number|list|dictionary|boolean)|Field required|[Ee]xtra inputs"
    r"|instance of|Traceback|celpy|EOF|IDENTIFIER|Syntax error|Undefined|No such overload|Function '|Python|Error\b"
    r"|\bNone\b|\bTrue\b|\bFalse\b|<class|object at 0x|(type|value|parsing|literal)_error|dictionary|discriminat|tuple"
)


def assert_plain(message: str, hint: str = "") -> None:
    own = re.sub(r'"[^"]*"', "", message)  # without the user's words
    assert not INSIDE.search(own + hint), (message, hint)
    assert "\n" not in own


def survives(document: Document) -> None:
    try:
        resolve(document, Call(node="node-1", run_id="run"))
    except SpecError as error:
        for problem in error.problems:
            assert_plain(problem.message, problem.hint)


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


SOUND = {"name": "test", "args": {"a": 1, "text": "x"}, "steps": [{"name": "a", "container": {"image": "image"}}]}
# The place of each model's object in a pipeline that is sound but for it.
PLACES = {
    "Pipeline": (),
    "Arg": ("args", "b"),
    "Env": ("envs", "b"),
    "StepDefaults": ("defaults",),
    "Step": ("steps", 0),
    "Retry": ("steps", 0, "retry"),
    "NodeSelector": ("steps", 0, "node"),
    "Disconnect": ("steps", 0, "disconnect"),
    "Artifacts": ("steps", 0, "artifacts"),
    "Approval": ("steps", 0, "approval"),
    "PipelineCall": ("steps", 0, "pipeline"),
    "Concurrency": ("concurrency",),
    "ScheduleLine": ("schedule", 0),
    "Container": ("steps", 0, "container"),
    "Healthcheck": ("steps", 0, "container", "healthcheck"),
    "Ulimit": ("steps", 0, "container", "ulimits", "nofile"),
    "Deploy": ("steps", 0, "container", "deploy"),
    "Resources": ("steps", 0, "container", "deploy", "resources"),
    "ResourceLimits": ("steps", 0, "container", "deploy", "resources", "limits"),
    "ResourceReservations": ("steps", 0, "container", "deploy", "resources", "reservations"),
    "DeviceReservation": ("steps", 0, "container", "deploy", "resources", "reservations", "devices", 0),
    "Port": ("steps", 0, "container", "ports", 0),
    "VolumeForm": ("steps", 0, "container", "volumes", 0),
    "BindOptions": ("steps", 0, "container", "volumes", 0, "bind"),
    "VolumeOptions": ("steps", 0, "container", "volumes", 0, "volume"),
    "TmpfsOptions": ("steps", 0, "container", "volumes", 0, "tmpfs"),
    "Device": ("steps", 0, "container", "devices", 0),
    "NamedSecret": ("steps", 0, "container", "secrets", 0),
    "Pull": ("steps", 0, "container", "pull"),
}
# What an object must have for a key of it to be looked at.
NEEDED: dict[str, dict[str, Any]] = {
    "Approval": {"message": "go?"},
    "PipelineCall": {"name": "other"},
    "Concurrency": {"group": "g"},
    "ScheduleLine": {"cron": "@daily"},
    "Ulimit": {"soft": 1, "hard": 1},
    "DeviceReservation": {"capabilities": ["gpu"]},
    "Port": {"target": 80},
    "VolumeForm": {"type": "tmpfs", "target": "/x"},
    "Device": {"source": "/dev/x"},
    "NamedSecret": {"secret": "x"},
    "Pull": {"secret": "x"},
}
TYPES = {"Approval": "approval", "PipelineCall": "pipeline"}
ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        2**63,
        float("inf"),
        float("nan"),
        [],
        {},
        [None],
        [[]],
        {"x": None},
        {"x": [1]},
        {"x": {}},
    ),
    *TEXTS,
    *TEMPLATES,
    *("${{ args.text + 1 }}", "${{ args }}", "${{ range(300) }}", "a\0b", "\ud800", "x" * 70, "5 m", "-1"),
]


def with_key(model: str, key: str, value: Any) -> dict[str, Any]:
    """The sound pipeline with one more key in one place."""
    document: dict[str, Any] = deepcopy(SOUND)
    at: Any = document
    for name, then in pairwise((*PLACES[model], None)):
        fresh: Any = [{}] if then == 0 else {}
        at = at[name] if isinstance(name, int) else at.setdefault(name, fresh)
    at |= NEEDED.get(model, {}) | {key: value}
    if model in TYPES:
        step = document["steps"][0]
        step["type"] = TYPES[model]
        del step["container"]
    return document


@pytest.mark.parametrize(("model", "key"), [(model, key) for model, keys in MODELS.items() for key in keys])
def test_every_key_with_every_odd_value(model: str, key: str) -> None:
    for value in ODD:
        for odd in (value, [value], {"x": value}):
            survives(Document(with_key(model, key, odd)))


@pytest.mark.parametrize(
    "text", ["a: &x [*x]", "a: &a [1]\nb: *a", "!!python/object:os.system {}", "? [a]\n: b", "\x00"]
)
def test_what_yaml_offers_beyond_the_language(text: str) -> None:
    with pytest.raises(SpecError):
        resolve(parse_text(text), Call(node="node-1", run_id="run"))


WORDS = "args args.a steps.a.outputs.x run.id node.id matrix.x 1 1.5 'x' \"y\" b'z' true null in"
SIGNS = "[ ] { } ( ) . , : ? + - * / % == != < && || !"
CALLS = "range( from_json( hash( size( matches( map( has( max( type( timestamp( duration( int( uint( bytes("
TOKENS = st.sampled_from(f"{WORDS} {SIGNS} {CALLS}".split())


@settings(max_examples=400, deadline=None)
@given(st.lists(TOKENS, max_size=6).map(" ".join) | st.text(max_size=12))
def test_any_expression(text: str) -> None:
    step = {"name": "a", "container": {"image": "image", "hostname": f"${{{{ {text} }}}}"}}
    survives(Document({"name": "test", "args": {"a": 1}, "steps": [step]}))
