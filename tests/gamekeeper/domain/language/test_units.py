"""Durations and sizes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.language.published_port import PublishedPort, parse_ports
from gamekeeper.domain.language.units import format_duration, parse_bytes, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("2d", 172_800),
        ("0s", 0),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("1000000ns", 1e-3),
        ("1m30s", 90),
        ("0", 0),
        ("366d", 366 * 86_400),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("5 minutes", "write 5m"),
        ("30", "30s for seconds"),
        ("", "30s, 5m"),
        ("-1s", "30s"),
        ("1 hour", "write 1h"),
        (" 30 Secs", "write 30s"),
        ("367d", "limit of 366d"),
        (5, "not a duration"),
    ],
)
def test_wrong_duration(text: str, suggestion: str) -> None:
    with pytest.raises(ValueError, match=suggestion):
        parse_duration(text)


@given(st.integers(0, 30 * 86_400_000))
def test_format_is_read_back(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 2**29),
        ("1g", 2**30),
        ("64k", 2**16),
        ("5", 5),
        ("1.5gb", 3 * 2**29),
        ("7B", 7),
        ("1.5GiB", 3 * 2**29),
        ("2kib", 2048),
        ("1t", 2**40),
        ("1pb", 2**50),
        (" 2 KB ", 2048),
        (9, 9),
        (2**62, 2**62),
    ],
)
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["big", "-1", "1x", "1ib5", "4294967297g", "4611686018427389000"])
def test_wrong_bytes(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8303:8303/udp", PublishedPort(8303, "udp", "8303", "")),
        ("80", PublishedPort(80, "tcp", "", "")),
        ("0:80", PublishedPort(80, "tcp", "", "")),
        ("127.0.0.1:5000:80/tcp", PublishedPort(80, "tcp", "5000", "127.0.0.1")),
        ("127.0.0.1::80", PublishedPort(80, "tcp", "", "127.0.0.1")),
        ("[::1]:5000:80", PublishedPort(80, "tcp", "5000", "[::1]")),
        ("65535:65535", PublishedPort(65535, "tcp", "65535", "")),
    ],
)
def test_port(text: str, port: PublishedPort) -> None:
    assert parse_ports(text) == [port]


def test_a_range_that_ends_before_it_begins() -> None:
    with pytest.raises(ValueError, match='"3-1": the range 3-1 ends before it begins'):
        parse_ports("3-1")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("2456-2458:2456-2458/udp", [("2456", 2456), ("2457", 2457), ("2458", 2458)]),
        ("9000-9001:80-81", [("9000", 80), ("9001", 81)]),
        ("3000-3002", [("", 3000), ("", 3001), ("", 3002)]),
        ("127.0.0.1::3000-3001", [("", 3000), ("", 3001)]),
        ("8000-8010:80", [("8000-8010", 80)]),  # Docker picks a free one of them
        ("7-7:8-8", [("7", 8)]),
        ("0:3000-3001", [("", 3000), ("", 3001)]),
        ("game=0:3000-3001=/udp", [("", 3000), ("", 3001)]),  # the marks are for instances; Docker knows none of them
    ],
)
def test_a_range_of_ports(text: str, pairs: list[tuple[str, int]]) -> None:
    assert [(port.host, port.container_port) for port in parse_ports(text)] == pairs


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web",
        "65536",
        "65536:80",
        "80:0",
        "80:80/icmp",
        "a:80:80",
        "1-2:1-3",
        "1-1001:1-1001",
        "${P:-1}:1",
        "1-2:5=",
        "a b=1:1",
    ],
)
def test_wrong_port(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_ports(text)
