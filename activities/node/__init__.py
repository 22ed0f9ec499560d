"""Activities that a node's agent runs."""
