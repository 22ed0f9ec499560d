"""The few questions of the engine's API that are answered, and all others."""

from __future__ import annotations

import pytest

from agent_worker.engine_socket.questions import Kind, RefusedError, read_question


@pytest.mark.parametrize(
    ("target", "kind", "id_"),
    [
        ("/_ping", Kind.PING, ""),
        ("/v1.41/version", Kind.VERSION, ""),
        ("/v1.24/containers/json?limit=0&all=1", Kind.CONTAINERS, ""),
        ("/containers/gk-i-arena-1/json?size=true", Kind.CONTAINER, "gk-i-arena-1"),
        ("/v1.51/events?filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D", Kind.EVENTS, ""),
        ("/networks", Kind.NETWORKS, ""),
        ("/v1.41/networks/gk-g-arena", Kind.NETWORK, "gk-g-arena"),
        ("/info", Kind.INFO, ""),
    ],
)
def test_questions_that_only_look(target: str, kind: Kind, id_: str) -> None:
    for method in ("GET", "HEAD"):
        found = read_question(method, target)
        assert (found.kind, found.id) == (kind, id_)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "get", "GET "])
def test_no_other_method(method: str) -> None:
    with pytest.raises(RefusedError, match="is not answered here"):
        read_question(method, "/containers/json")


@pytest.mark.parametrize(
    "target",
    [
        *("/", "//containers/json", "/containers//json", "/containers/../images/json", "/v1.41/../containers/json"),
        *("/containers/%2e%2e/json", "/containers/..%2f..%2finfo/json", "/containers/a%2fjson", "/containers/./json"),
        *("/containers/a/json/", "/v1.41//info", "/v1.41/v1.41/info", "/v1/info", "/info;x", "/info#x", "/info\n"),
        *(
            "http://localhost/info",
            "*",
            "/containers/a/logs",
            "/containers/a/top",
            "/containers/a/stats",
            "/images/json",
        ),
        *("/containers/a/archive?path=/", "/containers/a/export", "/volumes", "/secrets", "/swarm", "/system/df"),
        *("/images/json", "/containers/create", "/exec/a/json", "/session", "/grpc", "/plugins", "/tasks"),
        *("/containers/" + "a" * 300 + "/json", "/info?" + "a" * 5000, "/containers/é/json"),
    ],
)
def test_no_other_path(target: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_question("GET", target)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("filters={", 400),
        ("filters=[1]", 400),
        ("filters=" + "[" * 4000, 400),
        ('filters={"before":["x"]}', 403),
        ('filters={"volume":["/srv"]}', 403),
        ('filters={"label":["' + "x" * 300 + '"]}', 400),
        ("&".join(f"a{index}=1" for index in range(100)), 400),
        ('filters={"label":["gamekeeper.folders=[]"]}', 403),
        ('filters={"label":{"gamekeeper.engine_socket":true}}', 403),
        ('filters={"name":[".{1000}.{1000}"]}', 400),
        ('filters={"id":["(a)"]}', 400),
        ('filters={"name":"text"}', 400),
        ('filters={"name":[["a"]]}', 400),
        ('filters={"name":null}', 400),
        ("since=yesterday", 400),
        ("until=-1", 400),
    ],
)
def test_a_query_has_bounds(query: str, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        read_question("GET", f"/containers/json?{query}")
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("text", "everything"), [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("", False)]
)
def test_all_is_read_as_the_engine_reads_it(text: str, everything: bool) -> None:
    assert read_question("GET", f"/containers/json?all={text}").everything is everything


def test_both_spellings_of_filters() -> None:
    for text in ('{"label":["a=b"],"status":["running"]}', '{"label":{"a=b":true},"status":{"running":true}}'):
        found = read_question("GET", f"/containers/json?filters={text}")
        assert found.filters == {"label": ["a=b"], "status": ["running"]}


def test_events_of_networks_alone_are_not_told() -> None:
    assert read_question("GET", '/events?filters={"type":{"container":true,"network":true}}').kind is Kind.EVENTS
    assert read_question("GET", '/events?filters={"type":[]}').kind is Kind.EVENTS
    with pytest.raises(RefusedError, match="of containers alone"):
        read_question("GET", '/events?filters={"type":["network"]}')
