"""Expressions that mean a secret of a pipeline's envs: ``envs.NAME`` and nothing else. They are never evaluated."""

from __future__ import annotations

import re

from gamekeeper.domain.language.expressions import whole_expression

_ENV = re.compile(r"\s*envs(?:\.([A-Za-z_]\w*)|\[(?:'([^']*)'|\"([^\"]*)\")\])\s*")


def env_of(expression: str) -> str | None:
    """The name in ``envs.NAME``, where the expression is nothing else."""
    match = _ENV.fullmatch(expression)
    return next(filter(None, match.groups()), None) if match else None


def secret_of(text: str | None, name: str, secrets: dict[str, str]) -> str | None:
    """The secret that a variable ``name`` of a container means: bare, or by an expression that is nothing else."""
    if not secrets:
        return None
    if text is None:
        return secrets.get(name)
    expression = whole_expression(text)
    return secrets.get(env_of(expression) or "") if expression is not None else None
