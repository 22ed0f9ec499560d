"""References: versions of a secret whose value another store keeps. A reference is no secret itself."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_PATH = 200
MAX_KEY = 200
_PATH = re.compile(r"[A-Za-z0-9._ @+=:-]+(/[A-Za-z0-9._ @+=:-]+)*")


def _plain_path(text: str) -> str:
    parts = text.split("/")
    if not _PATH.fullmatch(text) or any(not part.strip(".") for part in parts):
        raise ValueError('a path has names of letters, digits and "._ @+=:-" with "/" between them, and no ".."')
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a key has letters that can be printed alone")
    return text


PathText = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(_plain_path)]


class VaultReference(BaseModel):
    """A value in a store that speaks the API of HashiCorp Vault's key-value engine, version 2."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: PathText = Field(description="The path of the secret below the mount of the engine")
    key: Annotated[str, Field(min_length=1, max_length=MAX_KEY), AfterValidator(_printable)] = Field(
        description="The key whose value it is, of those that the path holds"
    )
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="The version there; null for the newest"
    )

    def __str__(self) -> str:
        return f"vault:{self.path}#{self.key}{f'@{self.version}' if self.version else ''}"


class FileReference(BaseModel):
    """A value in a file below the folder that the api was given, as Docker and Kubernetes mount secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: PathText = Field(description="The path of the file below the folder")

    def __str__(self) -> str:
        return f"file:{self.path}"


class Reference(BaseModel):
    """One of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vault: VaultReference | None = None
    file: FileReference | None = None

    @model_validator(mode="after")
    def _one_store(self) -> Reference:
        if (self.vault is None) == (self.file is None):
            raise ValueError("a reference names one store: vault or file")
        return self

    def __str__(self) -> str:
        return str(self.vault or self.file)
