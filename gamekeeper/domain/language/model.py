"""The base of every model of the language."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Model(BaseModel):
    """Base of every model of the language: unknown keys are refused, never ignored."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"patternProperties": {"^x-": {}}}
    )

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        """Keys that begin with ``x-`` are the user's own, as in Compose: anchors stand there."""
        if isinstance(value, dict) and any(str(key).startswith("x-") for key in value):
            return {key: item for key, item in value.items() if not str(key).startswith("x-")}
        return value
