"""The embedded stack: Temporal, api, control_worker and agents as processes of one machine, kept running.

The same processes that docker-compose.yml starts as containers. A process holds the lock on its own file in ``run/``
for as long as it lives, through a descriptor that it inherits: so "is it there?" is answered by the kernel, whatever
happened to the supervisor, and there are never two of one.
"""
