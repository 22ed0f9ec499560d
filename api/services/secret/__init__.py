"""Secrets as their owners change them, and the rotation of the master keys. Values come in here and never go out."""
