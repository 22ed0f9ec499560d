"""Keys that end

Each key gets an id, a name that no other good key has, and a table of its secrets. All keys of before stay good.

Revision ID: 0018
Revises: 0017
"""

import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_BEFORE = (
    sa.column("key_hash", sa.String),
    sa.column("name", sa.String),
    sa.column("created_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    found = op.get_bind().execute(sa.select(*_BEFORE).select_from(sa.table("api_keys", *_BEFORE))).all()
    op.drop_table("api_keys")
    keys = op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("is_given", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_from", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_keys_name"), ["name"], unique=False)
    secrets_table = op.create_table(
        "api_key_secrets",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("good_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    with op.batch_alter_table("api_key_secrets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_secrets_key_id"), ["key_id"], unique=False)
    _bring_over(keys, secrets_table, found)


def _bring_over(keys: sa.Table, secrets_table: sa.Table, found: Sequence[Any]) -> None:
    """The newest of several keys with one name keeps it. All of them were made by starts of the api."""
    taken: set[str] = set()
    for row in sorted(found, key=lambda item: (item.created_at, item.key_hash), reverse=True):
        name, number, key_id = row.name, 2, secrets.token_hex(4)
        while name in taken:
            name, number = f"{row.name[:190]}-{number}", number + 1
        taken.add(name)
        fields = {"is_given": True, "created_by": "system", "last_used_from": "", "created_at": row.created_at}
        op.execute(sa.insert(keys).values(id=key_id, name=name, **fields))
        op.execute(sa.insert(secrets_table).values(key_hash=row.key_hash, key_id=key_id, created_at=row.created_at))


def downgrade() -> None:
    """Only what has no end is brought back: the version before knows none, and a guest's key would be good for ever."""
    good = """SELECT s.key_hash, k.name, s.created_at FROM api_key_secrets s JOIN api_keys k ON k.id = s.key_id
              WHERE k.revoked_at IS NULL AND k.expires_at IS NULL AND s.good_until IS NULL"""
    found = op.get_bind().execute(sa.text(good).columns(*_BEFORE)).all()
    op.drop_table("api_key_secrets")
    op.drop_table("api_keys")
    keys = op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    for row in found:
        op.execute(sa.insert(keys).values(key_hash=row.key_hash, name=row.name, created_at=row.created_at))
