"""Alembic migrations. The api process runs them before it serves."""
