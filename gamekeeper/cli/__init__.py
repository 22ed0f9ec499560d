"""The ``gamekeeper`` command: a REST client. Only ``up``, ``down`` and ``status`` know the embedded stack."""
