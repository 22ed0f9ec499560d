"""Activities that a node's agent runs. They work on ports: the container engine, the journal, the logs and the
phases."""
