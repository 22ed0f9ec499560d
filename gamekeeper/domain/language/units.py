"""Durations (``5m``, ``1h30m``) and sizes (``512m``, ``1g``) as users write them, in Compose's spelling."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+|0")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_WORDS = re.compile(r"(\d+)\s*(second|sec|minute|min|hour|day)s?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
MAX_DURATION = timedelta(days=366)
MAX_BYTES = 2**62


def parse_duration(text: str) -> timedelta:
    """``"1h30m"`` as a timedelta. Raises ValueError that shows the right spelling."""
    if not isinstance(text, str):
        raise ValueError(f'"{text}" is not a duration; write one as 30s, 5m or 1h30m')
    if not _DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is not a duration; write {_suggest_duration(text)}')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > MAX_DURATION.total_seconds():
        raise ValueError(f'"{text}" is longer than the limit of 366d')
    return timedelta(seconds=seconds)


def _suggest_duration(text: str) -> str:
    words = _WORDS.match(text.strip().lower())
    if words:
        return words.group(1) + words.group(2)[0]
    if text.strip().isdigit():
        return f"{text.strip()}s for seconds, {text.strip()}m for minutes"
    return "one as 30s, 5m or 1h30m"


def format_duration(duration: timedelta) -> str:
    """The shortest spelling of a duration, down to milliseconds: ``1h30m``, ``250ms``."""
    rest = round(duration.total_seconds() * 1000)
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_bytes(text: str | int) -> int:
    """``"512m"`` as bytes (binary multiples, as Docker counts). Raises ValueError."""
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f'"{text}" is not a size; write one as 512m or 2g')
    size = float(match.group(1)) * _BYTES[match.group(2).lower()]
    if size > MAX_BYTES:  # infinity as well, which 400 digits are
        raise ValueError(f'"{text}" is over the limit of {MAX_BYTES} bytes')
    return int(size)
