"""Addresses as Apprise writes them. It takes far more than a message needs: other services, files, hosts within. So an
address is read here first, more strictly than Apprise reads it, and all that is not known is refused."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from gamekeeper.errors import InvalidError

OF_A_HOST = frozenset("barks gotifys matrixs mmosts ntfys rockets signals".split())  # the user names it
APPRISE_SCHEMES = OF_A_HOST | frozenset(
    "dingtalk discord feishu gchat lark pagerduty pover qq slack tgram wecombot wxteams zulip".split()
)
_OPTIONS = frozenset(
    "avatar badge botname category channel channels class component content footer format group icon image level "
    "msgtype overflow priority region severity silent sound tags thread threadkey topic tts volume".split()
)
_ADDRESS = re.compile(r"[a-z]+://(?:(?P<user>[^/?#@\\]*)@)?(?P<host>[^/?#@\\]+)(?P<path>/[^?\\]*)?(?:\?(?P<query>.*))?")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9:+_~-]+")  # in the place of a host: without a dot it leads to no other one


def check_apprise(url: str) -> SplitResult | None:
    """The parts of an address whose host its user names; None where the service alone names it. Raises InvalidError."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        raise _odd("it is not written as service://host/path?option=value", "")
    scheme = url.partition(":")[0]
    if scheme not in APPRISE_SCHEMES:
        raise _odd(f'no messages are sent to "{scheme[:20]}"', f"one of: {', '.join(sorted(APPRISE_SCHEMES))}")
    names = {part.partition("=")[0] for part in re.split("[&;]", found["query"] or "") if part}
    if names - _OPTIONS:
        raise _odd("it has an option that is not known to be harmless", f"one of: {', '.join(sorted(_OPTIONS))}")
    has_host = scheme in OF_A_HOST and not (scheme == "ntfys" and not (found["path"] or "").strip("/"))  # a topic
    if not (_HOST if has_host else _TOKEN).fullmatch(found["host"]):
        raise _odd("a character stands in the place of its host that can't be there", "")
    return _parts(url) if has_host else None


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.port != 0:  # reading it checks it
            return parts
    except ValueError:
        pass
    raise _odd("it names no host, or a port that can't be", "")


def _odd(words: str, hint: str) -> InvalidError:
    return InvalidError(f"url: {words}", hint=hint, code="channel_url")
