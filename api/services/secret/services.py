"""The services of secrets, which share the master keys."""

from __future__ import annotations

from dataclasses import dataclass

from api.secret_settings import SecretSettings
from api.services.secret.key_rotation import KeyRotation
from api.services.secret.secret import SecretService
from gamekeeper.control_plane.secret.values import OutsideStores, StoredSecretValues
from gamekeeper.db.engine import Database
from gamekeeper.ports.master_keys import MasterKeys
from gamekeeper.sealing.key_file import KeyFile
from gamekeeper.secret_stores.folder import FolderStore
from gamekeeper.secret_stores.vault import VaultStore


@dataclass(frozen=True)
class SecretServices:
    """``values`` are for those who bring them to nodes."""

    secrets: SecretService
    keys: KeyRotation
    values: StoredSecretValues
    master_keys: MasterKeys

    @classmethod
    def of(cls, settings: SecretSettings, database: Database) -> SecretServices:
        """Raises InvalidError for settings that don't go together."""
        keys, terms, folder = KeyFile(settings.secrets_key_file), settings.vault_terms(), settings.secrets_dir
        stores = OutsideStores(
            vault=VaultStore(terms) if terms is not None else None,
            file=FolderStore(folder) if folder is not None else None,
        )
        values = StoredSecretValues(database, keys, stores)
        return cls(SecretService(database, keys), KeyRotation(database, keys), values, keys)
