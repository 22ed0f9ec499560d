"""A run and its steps: states, progress, control, and the messages between api, workflow and agent. Built on the
language, the nodes and the logs."""
