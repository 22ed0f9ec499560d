"""Reads the node's own policy file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError


def load_policy(path: Path | None) -> NodePolicy:
    """The strict defaults where there is no file. Raises InvalidError that names the file and the key.

    A file that can't be read stops the agent: going on with other rules than its owner wrote would be worse.
    """
    if path is None or not path.exists():
        return NodePolicy()
    try:
        return NodePolicy.model_validate(yaml.safe_load(path.read_text()) or {})
    except yaml.YAMLError as error:
        raise InvalidError(f"{path} is not valid YAML: {str(error).replace(chr(10), ' ')}") from error
    except (ValidationError, OSError) as error:
        raise InvalidError(f"{path}: {error}", hint="see docs/node-policy.md") from error
