"""The read model: tables, repositories and migrations, on SQLite or PostgreSQL. It holds no use case."""
