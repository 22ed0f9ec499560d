"""The inputs that a pipeline declares: typed arguments, and strings for the environment. Each has a short form."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.named_secret import SecretName
from gamekeeper.domain.language.source import core_value
from gamekeeper.domain.language.values import Flag, Text, as_text, wrong


class Arg(Model):
    """A typed input of the call."""

    type: Literal["string", "integer", "number", "boolean", "array", "object"] = "string"
    required: Flag | None = None
    default: Any = None
    enum: list[Any] | None = None
    min: Any = None
    max: Any = None
    pattern: Text | None = None
    description: Text | None = None


def _arg(value: Any) -> Any:
    """The short form: a bare default, whose type is the argument's."""
    if isinstance(value, dict | Arg):
        return value
    default = core_value(value)
    types = {bool: "boolean", int: "integer", float: "number", list: "array", str: "string"}
    return {"type": types.get(type(default), "string"), "default": value}


def _args(value: Any) -> Any:
    if isinstance(value, list):
        return {as_text(name): {"type": "string", "required": True} for name in value}
    return value


class Env(Model):
    """A string for every step's environment, given in the call or by default; with ``input`` for templates alone. A
    ``secret`` reaches the steps that name it."""

    default: Text | None = None
    required: Flag | None = None
    secret: SecretName | None = None
    input: Flag | None = None
    description: Text | None = None

    @model_validator(mode="after")
    def _secret_alone(self) -> Env:
        if self.secret is not None and (self.default, self.required, self.input) != (None, None, None):
            raise wrong(
                "secret", "a secret has no default, and no call gives it; leave default, required and input out"
            )
        return self


def _env(value: Any) -> Any:
    if isinstance(value, dict | Env):
        return value
    return {"default": "" if value is None else as_text(value)}


def _envs(value: Any) -> Any:
    if isinstance(value, list):
        return {as_text(name): {"required": True} for name in value}
    return value


_FORMS = WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "string"}}]})
Args = Annotated[dict[str, Annotated[Arg, BeforeValidator(_arg)]], BeforeValidator(_args), _FORMS]
Envs = Annotated[dict[str, Annotated[Env, BeforeValidator(_env)]], BeforeValidator(_envs), _FORMS]
