"""Measurements. Each prints a table, as a ratio to the floor in the same run; none is a timed test."""
