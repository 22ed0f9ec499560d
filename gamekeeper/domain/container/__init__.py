"""Containers by their owners: a try of a step, or a revision of an instance."""
