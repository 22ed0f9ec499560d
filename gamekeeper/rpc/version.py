"""The node link's protocol version, compared by both sides; bumped with every change that an old side can't read."""

PROTOCOL_VERSION = 3  # mutual TLS; nodes join over REST
OLDEST_SUPPORTED = 3


def version_problem(other: int, *, other_is: str) -> str | None:
    """A sentence naming both numbers when the two sides can't talk, else None."""
    if OLDEST_SUPPORTED <= other <= PROTOCOL_VERSION:
        return None
    return (
        f"the {other_is} speaks node link version {other}, this side {OLDEST_SUPPORTED} to {PROTOCOL_VERSION}; "
        "upgrade the older one"
    )
