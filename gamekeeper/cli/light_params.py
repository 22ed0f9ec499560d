"""Reads parameters that are plain words, flags or left out without pydantic. Typer imports it for every parameter,
which takes longer than anything else that a short command does.
"""

from __future__ import annotations

from typing import Any

import typer


class _Light:
    """Stands before Typer's own reading of one parameter, which is made when a value needs it."""

    def __init__(self, read: Any) -> None:
        self._read = read

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        many = param.multiple or param.nargs != 1
        if not many and (value is None or _is_plain(value, param)):
            return value
        if param.multiple and value is None:
            return ()
        param._runtime_param = None
        try:
            return self._read().coerce(value, param=param, ctx=ctx)
        except typer.BadParameter as error:
            _say_plainly(error)
            raise


def _say_plainly(error: Any) -> None:
    """The words of a document's problem in the place of pydantic's."""
    from pydantic import ValidationError

    from gamekeeper.domain.language.plain_words import first_words

    if isinstance(error.__cause__, ValidationError):
        error.message = first_words(error.__cause__)


def _is_plain(value: Any, parameter: Any) -> bool:
    """True for a value that stays as it is: a word, a flag, or the default of a number."""
    kind = parameter.type_descriptor.annotation
    return type(value) is kind and (kind in (str, bool) or value is parameter.default)


class LightCommand:
    """Mixed into a command of Typer. A version of Typer that reads in another way goes on doing so."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            described = getattr(parameter, "type_descriptor", None)
            if described is None or described.parameter_info.parser is not None:
                continue
            if getattr(parameter, "_runtime_param", parameter) is None:
                parameter._runtime_param = _Light(parameter.get_runtime_param)
        return parameters
