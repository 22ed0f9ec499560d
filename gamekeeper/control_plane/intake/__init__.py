"""Intake of runs, for the API, a step of another run, and a schedule: a submission becomes a plan (every problem at
once, nothing written), and a plan becomes rows. Whoever asked starts the run from its rows; the reconciler does it
where they died."""
