"""The text of a policy file as a document, for whoever reads one: the agent, and the commands that check it."""

from __future__ import annotations

from typing import Any

import yaml

from gamekeeper.errors import InvalidError


def policy_document(data: bytes, name: object) -> Any:
    """An empty mapping for an empty file. Raises InvalidError with ``name``, the file's, for what is no YAML."""
    try:
        return yaml.safe_load(data.decode()) or {}
    except UnicodeDecodeError as error:
        raise InvalidError(f"{name} is not UTF-8 text (byte {error.start})") from error
    except RecursionError as error:
        raise InvalidError(f"{name} is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is of a value, such as a day that no month has
        raise InvalidError(f"{name} is not valid YAML: {str(error).replace(chr(10), ' ')}") from error
