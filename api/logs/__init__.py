"""Logs on the server's disk: the one adapter of ``ports/log_store.py``, and its quotas."""
