"""Secrets: their names, their versions, and who may name which. It knows nothing of how values are kept."""
