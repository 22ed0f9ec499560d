"""Settings of the secrets: the file of the master keys, and the stores of others that secrets may refer to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from gamekeeper.errors import InvalidError
from gamekeeper.secret_stores.vault import VaultTerms
from gamekeeper.settings import DatabaseSettings
from gamekeeper.stack.own_server import is_loopback_url


class SecretSettings(DatabaseSettings):
    secrets_key_file: Path = Field(
        default=Path("secrets.key"),
        description="File with the master keys of secrets, made at the first start. All api processes share it, and a "
        "backup of the database is worth nothing without it. Keep both, and not in one place.",
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="Folder of files, a value each, that secrets may refer to, as Docker and Kubernetes mount them.",
    )
    vault_address: str = Field(
        default="",
        description="URL of a HashiCorp Vault or OpenBao whose values secrets may refer to, as "
        "`https://vault.lan:8200`. Plain HTTP is for this machine alone.",
    )
    vault_mount: str = Field(
        default="secret", description="Mount of its key-value engine (version 2). `secret` is Vault's own default."
    )
    vault_namespace: str = Field(default="", description="Namespace there, where it has any.")
    vault_token_file: Path | None = Field(
        default=None,
        description="File with a token for it, read at each question: whoever renews the token writes it anew.",
    )
    vault_role_id: str = Field(
        default="", description="Role id of an AppRole there, instead of a token. Tokens are then fetched by it."
    )
    vault_secret_id_file: Path | None = Field(default=None, description="File with the secret id of that AppRole.")
    vault_role_mount: str = Field(default="approle", description="Mount of the AppRole method there.")
    vault_roots: Path | None = Field(
        default=None, description="File with the roots by which it is trusted, as PEM. None takes the system's."
    )
    vault_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds that a question to it may take in all. A step that waits for a value is tried again.",
    )

    def vault_terms(self) -> VaultTerms | None:
        """None without an address. Raises InvalidError for settings that don't go together."""
        if not self.vault_address:
            return None
        _check_address(self.vault_address)
        if (self.vault_token_file is None) == (not self.vault_role_id):
            raise InvalidError(
                "of GAMEKEEPER_VAULT_TOKEN_FILE and GAMEKEEPER_VAULT_ROLE_ID one has to be given",
                hint="a token, or an AppRole",
            )
        if self.vault_role_id and self.vault_secret_id_file is None:
            raise InvalidError("GAMEKEEPER_VAULT_SECRET_ID_FILE is missing", hint="GAMEKEEPER_VAULT_ROLE_ID needs it")
        return VaultTerms(
            address=self.vault_address.rstrip("/"),
            mount=self.vault_mount.strip("/"),
            namespace=self.vault_namespace,
            token_file=self.vault_token_file,
            role_id=self.vault_role_id,
            secret_id_file=self.vault_secret_id_file,
            role_mount=self.vault_role_mount.strip("/"),
            roots=self.vault_roots,
            seconds=self.vault_seconds,
        )


def _check_address(address: str) -> None:
    """Raises InvalidError for what is no URL, and for one over which anybody on the way could read."""
    try:
        url = urlsplit(address)
        is_sound = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_sound = False
    if not is_sound or url.query or url.fragment or url.username:
        raise InvalidError("GAMEKEEPER_VAULT_ADDRESS is no URL of a server", hint="as https://vault.lan:8200")
    if url.scheme == "http" and not is_loopback_url(address):
        raise InvalidError(
            "GAMEKEEPER_VAULT_ADDRESS is plain HTTP to another machine, which anybody on the way can read",
            hint="give it as https://..., with GAMEKEEPER_VAULT_ROOTS where its CA is your own",
        )
