"""Use cases of instances."""
