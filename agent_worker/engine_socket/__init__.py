"""A socket like the engine's for one container, which shows it the containers of its own project and changes nothing.

Nothing that a container sends goes on to the engine: its questions are read by a list of the few that there are, the
agent asks the engine by itself, and the answers are put together of what may be seen.
"""
