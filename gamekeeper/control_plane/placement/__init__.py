"""Placement of instances, for the API and for a step of a run: a node is chosen and its room is promised in one
transaction. What was promised is kept through revisions, and given back when its owner goes."""
