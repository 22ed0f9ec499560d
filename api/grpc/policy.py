"""Reads the policy that a node reports."""

from __future__ import annotations

import json

from pydantic import ValidationError

from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError

MAX_POLICY_BYTES = 64 * 1024


def read_policy(text: str) -> NodePolicy:
    """Raises InvalidError for one that is too large, or that this version can't read."""
    if len(text) > MAX_POLICY_BYTES:
        raise InvalidError("the node's policy is over 64 KiB")
    try:
        return NodePolicy.model_validate(json.loads(text or "{}"))
    except ValidationError as error:
        raise InvalidError(f"the node's policy can't be read: {first_words(error)}") from error
    except (ValueError, RecursionError) as error:  # the last for 60,000 brackets
        raise InvalidError(f"the node's policy can't be read: {error}") from error
