"""Addresses that a stack may serve on."""

from __future__ import annotations

import pytest

from gamekeeper.errors import InvalidError
from gamekeeper.stack.hosts import bind_address
from gamekeeper.stack.own_server import dial_address


@pytest.mark.parametrize(
    ("host", "bound", "dialled"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
        ("lo", "127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_what_a_host_means(host: str, bound: str, dialled: str) -> None:
    assert bind_address(host) == bound
    assert dial_address(bound) == dialled


@pytest.mark.parametrize(
    ("host", "hint"), [("203.0.113.7", "--host 0.0.0.0"), ("eth99x", "interface"), ("", "interface"), ("a\x00b", "lo")]
)
def test_an_address_of_another_machine(host: str, hint: str) -> None:
    with pytest.raises(InvalidError) as caught:
        bind_address(host)
    assert hint in str(caught.value)
