"""Intake of runs: the one way in which a run comes into being, for the API, a step of another run, and a schedule.

A submission becomes a plan (every problem at once, nothing written), and a plan becomes rows. Whoever asked starts the
run from its rows; the reconciler does it where they died.
"""
