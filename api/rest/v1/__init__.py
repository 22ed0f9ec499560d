"""Version 1 of the REST API, below /api/v1."""
