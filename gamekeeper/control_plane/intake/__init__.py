"""How a run comes into being, whoever asks: the API, a step of another run, or a schedule.

What is asked for becomes a plan (every problem at once, nothing written), and a plan becomes rows. From the rows the
run is started by whoever asked, or by the reconciler where they died.
"""
