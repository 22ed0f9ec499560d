"""Everything that names or connects to Temporal: ids, task queues, policies, the client, the embedded server."""
