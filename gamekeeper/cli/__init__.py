"""The ``gamekeeper`` command: a REST client, and ``up``, which runs the embedded stack."""
