"""Names of nodes that join by a key."""

from __future__ import annotations

import re

import pytest

from gamekeeper.domain.node.join import check_name_pattern, host_label, node_id_of, short_fingerprint
from gamekeeper.domain.node.node import NODE_ID
from gamekeeper.errors import InvalidError


@pytest.mark.parametrize(
    ("pattern", "host", "taken", "node_id"),
    [
        ("{host}", "gpu-01", (), "gpu-01"),
        ("{host}", "GPU_01.Example.com", (), "gpu-01"),
        ("{host}", "gpu-01", ("gpu-01",), "gpu-01"),
        ("{host}", "x" * 80, (), "x" * 63),
        ("a-{host}-b", "x" * 80, (), "a-" + "x" * 59 + "-b"),
        ("{host}-{n}", "x" * 80, (), "x" * 61 + "-1"),
        ("{host}-{n}", "x" * 80, ("x" * 61 + "-1",), "x" * 61 + "-2"),
        ("edge-{n}", "", ("edge-1", "edge-3"), "edge-2"),
        ("edge-{n}", "", tuple(f"edge-{number}" for number in range(1, 10)), "edge-10"),
        ("n{n}", "a", (), "n1"),
        ("one", "gpu-01", (), "one"),
    ],
)
def test_ids_by_pattern(pattern: str, host: str, taken: tuple[str, ...], node_id: str) -> None:
    assert node_id_of(check_name_pattern(pattern), host, taken) == node_id
    assert re.fullmatch(NODE_ID, node_id)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "-",
        "{host}{host}",
        "{n}-{n}",
        "{other}",
        "A",
        "a b",
        "{host",
        "a-",
        "-{n}",
        "x" * 64,
        "x" * 60 + "{n}",
        "a\n",
    ],
)
def test_patterns_that_give_no_id(pattern: str) -> None:
    with pytest.raises(InvalidError, match="gives no node id"):
        check_name_pattern(pattern)


@pytest.mark.parametrize("host", ["", ".", "-", "localhost", "LOCALHOST.localdomain", "ü"])
def test_hosts_that_give_no_id(host: str) -> None:
    with pytest.raises(InvalidError, match="--node NAME"):
        host_label(host)


def test_the_short_form_is_of_the_beginning() -> None:
    assert short_fingerprint("3f2a91bc7d1044e9" + "0" * 48) == "3f2a-91bc-7d10-44e9"
