"""Instances, for the API and for workflows: how one comes into being, and what is written of its actions. What its
keeper tells is written the same way whoever brings it."""
