"""Alembic migrations, run by the api process before it serves."""
