"""Version 1 of the REST API, below /api/v1. Every route of it needs a key."""
