"""Reads the node's own policy file, and writes it once: from the template of the join key, where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)


HEAD = "# Written once, from the template of the join key. It is yours to change; no message does.\n"


def load_policy(path: Path) -> NodePolicy:
    """The strict defaults where there is no file. Raises InvalidError that names the file and the key.

    A file that can't be read stops the agent: going on with other rules than its owner wrote would be worse.
    """
    if not path.exists():
        return NodePolicy()
    try:
        return NodePolicy.model_validate(yaml.safe_load(path.read_text()) or {})
    except yaml.YAMLError as error:
        raise InvalidError(f"{path} is not valid YAML: {str(error).replace(chr(10), ' ')}") from error
    except ValidationError as error:
        raise InvalidError(f"{path}: {first_words(error)}", hint="see docs/node-policy.md") from error
    except OSError as error:
        raise InvalidError(f"{path}: {error.strerror}", hint="see docs/node-policy.md") from error


def keep_template(path: Path, template: Mapping[str, Any]) -> None:
    """Writes the template as the policy file where there is none: the machine's own file always wins.

    Raises InvalidError for a template that this agent doesn't understand, UnavailableError on a full disk.
    """
    if path.exists():
        log.info("the join key's policy is not taken: this machine has its own, %s", path)
        return
    try:
        NodePolicy.model_validate(template)
    except ValidationError as error:
        hint = f"upgrade the agent, or write {path} yourself"
        raise InvalidError(f"the join key's policy can't be used here: {first_words(error)}", hint=hint) from error
    write_whole(path, HEAD + yaml.safe_dump(dict(template), sort_keys=False))
    log.info("the join key's policy is this node's now: %s", path)
