"""Addresses for Apprise: what it would take and no message needs is refused before it sees them."""

from __future__ import annotations

import pytest

from gamekeeper.domain.alarm.apprise import check_apprise
from gamekeeper.errors import InvalidError


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("barks://bark.example.org/device", "bark.example.org"),
        ("barks://[::1]/device", "::1"),
        ("ntfys://localhost/topic", "localhost"),
        ("ntfys://2130706433/topic?priority=high", "2130706433"),
        ("matrixs://u:p@m.example.org:8448/#room", "m.example.org"),
        ("mmosts://m.example.org/token", "m.example.org"),
    ],
)
def test_the_host_that_is_named_is_told(url: str, host: str) -> None:
    parts = check_apprise(url)
    assert parts is not None
    assert parts.hostname == host


@pytest.mark.parametrize(
    "url",
    [
        "ntfys://topic",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "slack://bot@T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7/#general",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?tts=yes",
        "zulip://bot@games/token",
    ],
)
def test_services_with_a_host_of_their_own_need_none(url: str) -> None:
    assert check_apprise(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("bark://host/key", "json://host/", "file:///etc/passwd", "mattermosts://host/token", "ntfys://", "slack"),
        *("zulip://bot@games.evil.example/token", "slack://evil.example/a/b/c", "tgram://%65vil/1"),
        *("ntfys://%6cocalhost/x", "ntfys://good.example\\@127.0.0.1/x", "ntfys://a@b@c/x", "ntfys://a#@127.0.0.1/x"),
        *("ntfys://good.example,json://127.0.0.1", "gotifys://host:99999/token", "barks://[zz]/k"),
        *("slack://a/b/c?template=/etc/passwd", "ntfys://host/x?attach=http://10.0.0.1/", "gotifys://h/t?verify=no"),
        *(
            "gotifys://h/t?redirect=yes",
            "ntfys://topic?to=x",
            "matrixs://h/#room?discovery=yes",
            "slack://a/b/c?%74o=x",
        ),
        *("slack://a/b/c?tts=yes;template=x", "gotifys://h/t?+header=x", "gotifys://h/t?verif%79=no"),
    ],
)
def test_all_that_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        check_apprise(url)
