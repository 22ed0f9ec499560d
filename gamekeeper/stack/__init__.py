"""The embedded stack: Temporal, api, control_worker and agents as processes of one machine, as docker-compose.yml
starts them as containers. Each holds the lock on its own file in ``run/`` as long as it lives, so the kernel knows what
is there, whatever happened to the supervisor."""
